"""Lease states where they are kept: a file of several processes, the driver's service, a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import DriverLeaseStore, HostLeaseStore, LeaseStore, RedisLeaseStore, lease_stores
from gateway_batch.admission.amount import ONE_REQUEST
from gateway_batch.admission.lease_client import LeaseStoreRefusedError, LeaseStoreUnreachableError
from gateway_batch.admission.lease_server import LeaseServer
from gateway_batch.admission.leases import LeaseRequest, Limits
from gateway_batch.errors import ConfigError
from gateway_batch.local_files.locks import locked
from gateway_batch.response_cache import AnswerScope, HostAnswerStore
from gateway_batch.response_cache.store import Outbox
from gateway_batch.transport import Transport, open_transport
from gateway_batch.transport.redis_connection import connect
from gateway_batch.types import HttpReply, HttpRequest
from tests.redis_server import RedisServer, redis_running
from tests.waiting import WITHIN_S

from .refusing_redis import refusing

pytestmark = pytest.mark.usefixtures("patient")
LIMITS = Limits(concurrency=5, max_requests=1000)


@pytest.fixture(scope="module")
def server() -> Iterator[LeaseServer]:
    server = LeaseServer("127.0.0.1", "127.0.0.1")
    yield server
    server.close()


Open = Callable[[], Any]


@pytest.fixture(params=["host", "driver", "driver-httpx", "redis"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer, server: LeaseServer) -> Open:
    """Opens one more connection to one lease state."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[LeaseStore]:
        transport: Transport | None = None
        if request.param == "host":
            state: LeaseStore = HostLeaseStore(tmp_path / "limits.sqlite")
        elif request.param == "redis":
            state = RedisLeaseStore(connect(redis.url), f"limits:{tmp_path.name}")
        else:
            transport = open_transport("httpx" if request.param == "driver-httpx" else "pyreqwest", "test")
            state = DriverLeaseStore(server.url, tmp_path.name, server.token, transport.send)
        try:
            yield state
        finally:
            await state.close()
            if transport is not None:
                await transport.close()

    return opened


def request(member: str, number: int, **reported: Any) -> LeaseRequest:
    return LeaseRequest(member, number, LIMITS, "b", need=ONE_REQUEST, **reported)


def test_members_share_one_state(open_store: Open) -> None:
    async def main() -> None:
        async with open_store() as one, open_store() as other:
            first = await one.exchange(request("one", 1, wants_slots=3, waiting=600))
            assert (first.slots, first.requests) == (3, 600)
            second = await other.exchange(request("other", 1, wants_slots=9, waiting=600))
            assert (second.slots, second.requests) == (2, 200)  # it shares what is left with the one that waits
            assert second.pool == first.pool

    asyncio.run(main())


def test_exchanges_at_the_same_time_lose_nothing(open_store: Open) -> None:
    async def member(name: str) -> None:
        async with open_store() as state:
            for number in range(1, 11):
                await state.exchange(request(name, number, settled=ONE_REQUEST))

    async def main() -> float:
        await asyncio.gather(*(member(f"m{place}") for place in range(6)))
        async with open_store() as state:
            return float((await state.exchange(request("last", 1))).spent.requests)

    assert asyncio.run(main()) == 60


def settle_often(path: Path, name: str, times: int) -> None:
    lease_stores._BUSY_TIMEOUT_S = WITHIN_S

    async def main() -> None:
        state = HostLeaseStore(path)
        for number in range(1, times + 1):
            await state.exchange(request(name, number, settled=ONE_REQUEST))
        await state.close()

    asyncio.run(main())


def test_processes_of_a_host_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "limits.sqlite"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=settle_often, args=(path, f"m{place}", 200)) for place in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0

    async def spent() -> float:
        return (await HostLeaseStore(path).exchange(request("last", 1))).spent.requests

    assert asyncio.run(spent()) == 600
    assert path.stat().st_mode & 0o777 == 0o600


def open_and_close(path: Path, times: int, together: Any) -> None:
    lease_stores._BUSY_TIMEOUT_S = WITHIN_S

    async def main() -> None:
        for number in range(times):
            together.wait(WITHIN_S)
            state = HostLeaseStore(path / f"{number}.sqlite")
            await state.exchange(request(f"{os.getpid()}", 1))
            await state.close()
            together.wait(WITHIN_S)
            answers = HostAnswerStore(AnswerScope(f"{number}", path / f"{number}", "app", "1", 60), 1 << 20)
            await answers.exchange(Outbox(), [b"request"])
            await answers.close()

    asyncio.run(main())


def waits_for(lock: Path, work: Callable[[], object]) -> bool:
    """Whether work in another thread waits while a lock is held."""
    with ThreadPoolExecutor(1) as thread:
        with locked(lock):
            done = thread.submit(work)
            waited = not wait([done], 0.2).done
        done.result(WITHIN_S)
    return waited


def test_files_are_opened_and_closed_under_a_lock(tmp_path: Path) -> None:
    """SQLite doesn't wait for a file whose journal mode another process sets, nor for one that the last one closes."""
    limits = HostLeaseStore(tmp_path / "limits.sqlite")
    its_lock = tmp_path / "limits.sqlite.lock"
    assert waits_for(its_lock, lambda: asyncio.run(limits.exchange(request("one", 1))))
    assert waits_for(its_lock, lambda: asyncio.run(limits.close()))
    scope = AnswerScope("answers", tmp_path / "answers", "app", "1", 60)
    scope.folder.mkdir()
    answers = HostAnswerStore(scope, 1 << 20)
    assert waits_for(scope.folder / "opening", lambda: asyncio.run(answers.exchange(Outbox(), [b"request"])))
    assert waits_for(scope.folder / "opening", lambda: asyncio.run(answers.close()))


@pytest.mark.parametrize("files", [20, pytest.param(100, marks=pytest.mark.nightly)])
def test_processes_that_open_a_new_file_together_all_can(tmp_path: Path, files: int) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(4)
    processes = [context.Process(target=open_and_close, args=(tmp_path, files, together)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4


def unreachable(open_: Callable[[], Awaitable[LeaseStore]]) -> str:
    async def main() -> str:
        state = await open_()
        with pytest.raises(LeaseStoreUnreachableError) as caught:
            await state.exchange(request("one", 1))
        return str(caught.value)

    return asyncio.run(main())


GOOD_STATE = b'{"id":"i","flows":{},"spent":{},"members":{}}'
ODD_STATES = [
    b"",
    b"garbage",
    b"[]",
    b"5",
    b"{}",
    b'{"version":2}',
    GOOD_STATE.replace(b"}}", b'},"of_later":1}'),
    GOOD_STATE.replace(b'"i"', b"5"),
    GOOD_STATE.replace(b'"spent":{}', b'"spent":{"b":{"requests":-5,"tokens":0,"cost_usd":0}}'),
    GOOD_STATE.replace(b'"spent":{}', b'"spent":{"b":{"requests":null,"tokens":0,"cost_usd":0}}'),
    GOOD_STATE.replace(b'"spent":{}', b'"spent":{"b":{"requests":0,"tokens":1e300,"cost_usd":0}}'),
    GOOD_STATE.replace(b'"spent":{}', b'"spent":{"b":{"requests":0,"tokens":"1","cost_usd":0}}'),
    GOOD_STATE.replace(b'"spent":{}', b'"spent":{"b":[]}'),
    GOOD_STATE.replace(b'"flows":{}', b'"flows":{"f":{"requests":1,"tokens":1}}'),
    GOOD_STATE.replace(b'"flows":{}', b'"flows":{"f":{"requests":1,"tokens":1,"filled_at":1e300}}'),
    GOOD_STATE.replace(b'"members":{}', b'"members":{"m":{"flow":"f","budget":"b","slots":-3}}'),
    GOOD_STATE.replace(b'"members":{}', b'"members":{"m":{"flow":"f","budget":"b","answer":5}}'),
    GOOD_STATE.replace(b'"members":{}', b'"members":[]'),
]


def refused(open_: Callable[[], Awaitable[LeaseStore]]) -> str:
    async def main() -> str:
        store = await open_()
        try:
            with pytest.raises(LeaseStoreRefusedError) as caught:
                await store.exchange(request("one", 1))
        finally:
            await store.close()
        return str(caught.value)

    return asyncio.run(main())


@pytest.mark.parametrize("odd", ODD_STATES, ids=str)
def test_a_state_in_redis_of_unknown_form_is_refused_by_name_and_left_alone(odd: bytes, redis: RedisServer) -> None:
    async def kept(value: bytes | None) -> Any:
        client = connect(redis.url)
        try:
            return await (client.get("odd") if value is None else client.set("odd", value))
        finally:
            await client.aclose()

    async def open_() -> LeaseStore:
        return RedisLeaseStore(connect(redis.url), "odd")

    asyncio.run(kept(odd))
    said = refused(open_)
    assert "the value odd is no state of this version" in said
    assert "coordination_name" in said
    assert asyncio.run(kept(None)) == odd


@pytest.mark.parametrize("odd", ODD_STATES, ids=str)
def test_a_state_in_a_file_of_unknown_form_is_refused_by_name_and_left_alone(odd: bytes, tmp_path: Path) -> None:
    path = tmp_path / "limits.sqlite"

    def kept(value: bytes | None) -> Any:
        with contextlib.closing(sqlite3.connect(path)) as database:
            if value is not None:
                database.execute("CREATE TABLE lease_state (name TEXT PRIMARY KEY, state BLOB NOT NULL)")
                database.execute("INSERT INTO lease_state VALUES ('limits', ?)", (value,))
                database.commit()
            return database.execute("SELECT state FROM lease_state").fetchall()

    async def open_() -> LeaseStore:
        return HostLeaseStore(path)

    kept(odd)
    assert f"the state in {path} is not one of this version" in refused(open_)
    assert kept(None) == [(odd,)]


@pytest.mark.parametrize("what", ["text", "folder", "another table"])
def test_a_file_that_is_no_store_is_refused_by_name(what: str, tmp_path: Path) -> None:
    path = tmp_path / "limits.sqlite"
    match what:
        case "text":
            path.write_text("no database" * 1000)
        case "folder":
            path.mkdir()
        case _:
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("CREATE TABLE lease_state (of_later BLOB)")

    async def open_() -> LeaseStore:
        return HostLeaseStore(path)

    assert str(path) in refused(open_)


def test_a_locked_file_is_unreachable_and_the_loop_runs_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_stores, "_BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "limits.sqlite"

    async def main() -> int:
        store = HostLeaseStore(path)
        await store.exchange(request("one", 1))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asked, turns = asyncio.create_task(store.exchange(request("one", 2))), 0
            while not asked.done():
                await asyncio.sleep(0.001)
                turns += 1
            with pytest.raises(LeaseStoreUnreachableError, match="locked") as caught:
                await asked
            assert not isinstance(caught.value, LeaseStoreRefusedError)
            other.execute("ROLLBACK")
        await store.exchange(request("one", 2))
        await store.close()
        return turns

    assert asyncio.run(main()) > 20


@pytest.mark.parametrize("refusal", ["wrong password", "read-only", "full", "another type", "not Redis"])
def test_a_redis_that_refuses_is_said(refusal: str, tmp_path: Path) -> None:
    async def open_() -> LeaseStore:
        return RedisLeaseStore(connect(url), "limits")

    password = "very-secret" if refusal == "wrong password" else None
    with redis_running(tmp_path, password) as running, refusing(running, refusal, "limits") as url:
        said = refused(open_)
    assert "Redis" in said
    assert "secret" not in said
    words = {"wrong password": "password", "read-only": "read only", "full": "maxmemory", "another type": "wrong kind"}
    assert words.get(refusal, "is none") in said


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"pool":"p","slots":-1,"requests":1,"spent":{},"refusal":null,"next_s":1}']
)
def test_an_answer_that_is_no_lease_is_said(body: bytes) -> None:
    async def send(post: HttpRequest, within_s: float) -> HttpReply:
        return HttpReply(200, {}, body)

    async def open_() -> LeaseStore:
        return DriverLeaseStore("http://driver", "limits", "token", send)

    assert "the driver's answer is no lease" in refused(open_)


def test_the_drivers_service_wants_its_token(server: LeaseServer) -> None:
    async def open_() -> LeaseStore:
        return DriverLeaseStore(server.url, "limits", "guessed", open_transport("pyreqwest", "test").send)

    assert "401" in unreachable(open_)


def test_a_driver_that_is_gone_is_said(server: LeaseServer) -> None:
    gone = LeaseServer("127.0.0.1", "127.0.0.1")
    gone.close()

    async def open_() -> LeaseStore:
        return DriverLeaseStore(gone.url, "limits", gone.token, open_transport("pyreqwest", "test").send)

    said = unreachable(open_)
    assert "the driver doesn't answer" in said
    assert gone.token not in said


def test_a_redis_that_is_gone_is_said(tmp_path: Path) -> None:
    with redis_running(tmp_path, password="very-secret") as gone:
        url = gone.url

    async def open_() -> LeaseStore:
        return RedisLeaseStore(connect(url), "limits")

    said = unreachable(open_)
    assert "Redis" in said
    assert "very-secret" not in said


def test_a_service_that_can_not_listen_says_where() -> None:
    with pytest.raises(ConfigError, match=r"can't listen on 203\.0\.113\.1"):
        LeaseServer("203.0.113.1", "203.0.113.1")
