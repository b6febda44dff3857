"""What the cache saved is counted for each query."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway_batch.config import GatewayConfig
from gateway_batch.errors import ConfigError
from gateway_batch.response_cache import Counts, process_cache
from gateway_batch.response_cache.process_cache import savings_file, savings_of
from gateway_batch.response_cache.savings import add_savings, add_shared_savings, read_savings, savings_key
from gateway_batch.transport.redis_connection import connect
from tests.redis_server import RedisServer, redis_running


@pytest.fixture(autouse=True)
def _shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_cache, "shared_dir", lambda name: tmp_path / name)


def test_counts_of_a_host_are_summed_by_query() -> None:
    path = savings_file("app")
    for execution_id, counts in (("3", Counts(5, 2, 3)), ("4", Counts(1)), ("3", Counts(0, 7, 1))):
        add_savings(path, execution_id, counts)
    assert read_savings(path) == {"3": Counts(5, 9, 4), "4": Counts(1)}
    assert path.stat().st_mode & 0o777 == 0o600
    assert savings_of(GatewayConfig.from_env(), "app") == read_savings(path)
    assert savings_of(GatewayConfig.from_env(), "another") == {}


def test_lines_and_fields_of_another_form_do_not_count(redis: RedisServer) -> None:
    path = savings_file("app")
    add_savings(path, "3", Counts(5, 2, 3))
    with path.open("ab") as file:
        file.write(b"garbage\n\n3 1 2\n3 1 2 3 4\n3 one 2 3\n3 -1 2 3\n3 1 2 " + b"9" * 5000 + b"\n\xff\xfe 1 2\n")
    assert read_savings(path) == {"3": Counts(5, 2, 3)}

    async def put() -> None:
        client = connect(redis.url)
        await add_shared_savings(client, savings_key("odd", "app"), "3", Counts(1, 1, 1))
        odd = {"3 of_later": "5", "3 saved_": "1", "nothing": "2", b"\xff": "1", "4 sent": "one", "4 saved": "-7"}
        await client.hset(savings_key("odd", "app"), mapping=odd)  # type: ignore[arg-type]
        await client.aclose()

    asyncio.run(put())
    config = GatewayConfig.from_env(coordination=redis.url, coordination_name="odd")
    assert savings_of(config, "app") == {"3": Counts(6, 3, 4)}


def test_counts_of_all_hosts_are_in_redis(tmp_path: Path) -> None:
    async def count(server: RedisServer) -> None:
        redis = connect(server.url)
        for counts in (Counts(5, 2, 5), Counts(1, 1, 1)):
            await add_shared_savings(redis, savings_key("team", "app"), "3", counts)
        await redis.aclose()

    with redis_running(tmp_path, "dapi-very-secret") as server:
        asyncio.run(count(server))
        add_savings(savings_file("app"), "3", Counts(1))  # what was counted while Redis was away
        config = GatewayConfig.from_env(coordination=server.url, coordination_name="team")
        assert savings_of(config, "app") == {"3": Counts(7, 3, 6)}
    with pytest.raises(ConfigError, match=r"^coordination: Redis does not answer") as caught:
        savings_of(config, "app")
    assert "secret" not in str(caught.value)
