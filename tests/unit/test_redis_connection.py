"""The connection to Redis, to a real one."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway_batch.errors import ConfigError
from gateway_batch.transport import redis_connection
from gateway_batch.transport.redis_connection import RedisError, RedisRefusedError, asking_redis, connect
from tests.redis_server import RedisServer, redis_running

SECRET = "dapi-very-secret"


async def ping(url: str) -> bool:
    redis = connect(url)
    try:
        async with asking_redis():
            return bool(await redis.ping())
    finally:
        await redis.aclose()


def test_a_server_with_a_password_answers(tmp_path: Path) -> None:
    with redis_running(tmp_path, SECRET) as server:
        assert asyncio.run(ping(server.url))
        with pytest.raises(RedisError) as caught:
            asyncio.run(ping(server.url.replace(SECRET, SECRET + "-2")))
    assert SECRET not in str(caught.value)


def test_a_connection_outlives_the_server_it_was_made_to(tmp_path: Path) -> None:
    async def work(server: RedisServer) -> bool:
        redis = connect(server.url)
        try:
            async with asking_redis():
                await redis.set("a", "b")
                server.kill()
                with pytest.raises(RedisError):
                    async with asking_redis():
                        await redis.get("a")
                server.start()
                return await redis.get("a") is None  # nothing is kept on disk
        finally:
            await redis.aclose()

    with redis_running(tmp_path) as server:
        assert asyncio.run(work(server))


@pytest.mark.parametrize("bound", ["_WITHIN_S", "_ALL_WITHIN_S"])
def test_a_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Each of the two bounds is enough."""
    assert max(redis_connection._WITHIN_S, redis_connection._ALL_WITHIN_S) <= 5
    for name in ("_WITHIN_S", "_ALL_WITHIN_S"):
        monkeypatch.setattr(redis_connection, name, 0.05 if name == bound else 600.0)

    async def work() -> None:
        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        with pytest.raises(RedisError, match="Timeout"):
            await ping(f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}")
        silent.close()

    asyncio.run(work())


NONSENSE = [
    b":no number\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"*2\r\n",
    b"$-7\r\n",
    b"*-9\r\n",
    b"%1\r\n+a\r\n+b\r\n",
    b"$3\r\nabcdefgh\r\n",
    b"+OK\r\n" * 50,
    b"$99999999999\r\n",
    b"-ERR \xff\xfe\x1b[2J\r\n",
    b"\x00\xff" * 500,
    b"",
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=ascii)
def test_what_answers_otherwise_is_one_short_error(nonsense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "_WITHIN_S", 0.2)
    monkeypatch.setattr(redis_connection, "_ALL_WITHIN_S", 1.0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                writer.write(nonsense)
                await writer.drain()
        writer.close()

    async def work() -> str:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        redis = connect(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        with pytest.raises(RedisError) as caught:
            await redis_connection.update(redis, "key", lambda kept, now: b"a state", kept_s=60)
        await redis_connection.close(redis)
        listening.close()
        return str(caught.value)

    said = asyncio.run(work())
    assert "Redis" in said
    assert len(said) < 300
    assert said.isprintable()


def test_an_error_says_nothing_of_what_was_sent(tmp_path: Path) -> None:
    async def work(url: str) -> list[str]:
        redis = connect(url)
        said = []
        with pytest.raises(RedisRefusedError) as caught:
            async with asking_redis():
                await redis.execute_command("NO_COMMAND", SECRET)  # type: ignore[no-untyped-call]
        said.append(str(caught.value))
        await redis.config_set("maxmemory", "1")
        with pytest.raises(RedisRefusedError) as caught:
            await redis_connection.update(redis, "key", lambda kept, now: SECRET.encode(), kept_s=60)
        said.append(str(caught.value))
        with pytest.raises(RedisRefusedError) as caught:
            await set_in_pipeline(redis)
        said.append(str(caught.value))
        await redis_connection.close(redis)
        return said

    async def set_in_pipeline(redis: Redis) -> None:
        async with asking_redis(), redis.pipeline(transaction=False) as pipe:
            pipe.set("key", SECRET)
            redis_connection.raise_first(await pipe.execute(raise_on_error=False))

    with redis_running(tmp_path) as server:
        unknown, *full = asyncio.run(work(server.url))
    assert "unknown command" in unknown
    assert all(each.endswith("when used memory > 'maxmemory'.") for each in full)
    assert SECRET not in "".join([unknown, *full])


def test_a_missing_package_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match=r"pip install 'gateway-batch\[redis\]'"):
        connect("redis://127.0.0.1")


def test_a_url_that_the_package_refuses_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="is no URL of a Redis") as caught:
        connect(f"http://{SECRET}@h")
    assert SECRET not in str(caught.value)
