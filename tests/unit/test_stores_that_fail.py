"""Stores that fail, fill up or are away cost the sharing and not the answers; what they leave goes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.response_cache import (
    FallbackStore,
    HostAnswerStore,
    Outbox,
    SingleFlight,
    StoreError,
)
from gateway_batch.response_cache import single_flight as single_flight_module
from gateway_batch.transport.redis_connection import connect
from tests.redis_server import RedisServer, redis_running
from tests.unit.single_flight_bench import Sender, Store

from .answer_stores import QUOTA, A, B, C, open_store, scope_in

pytestmark = pytest.mark.usefixtures("patient")


def test_past_the_quota_answers_are_not_kept_and_one_warning_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    send = Sender()

    async def work(single_flight: SingleFlight) -> list[Any]:
        answers = []
        for key in (A, B, B, A):
            answers.append(await single_flight.answer(key, send))
            await single_flight.flush()
        return answers

    if store.url:  # its size is known with the answer, the file's before
        assert store.run(work, quota_bytes=2) == [1, 2, 3, 1]
    else:
        assert store.run(work, quota_bytes=2) == [1, 2, 3, 4]
    assert caplog.text.count("Raise cache_quota_mb") == 1


class Failing:
    """A store that always fails."""

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Any]:
        raise StoreError("no room")

    async def close(self) -> None:
        pass


def test_a_store_that_fails_costs_the_sharing_and_not_the_answers(caplog: pytest.LogCaptureFixture) -> None:
    send = Sender()

    async def main() -> list[Any]:
        single_flight = SingleFlight(Failing(), keep_failures=True)
        answers = [await single_flight.answer(A, send), await single_flight.answer(A, send)]
        await single_flight.close()
        return answers

    assert asyncio.run(main()) == [1, 2]
    assert caplog.text.count("answers can't be shared") == 1
    assert single_flight_module._log.name in caplog.text


def test_a_folder_that_can_not_be_made_costs_the_sharing_and_not_the_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert Store("", tmp_path / "file" / "scope").run(lambda single_flight: single_flight.answer(A, Sender())) == 1
    assert "NotADirectoryError" in caplog.text


def test_while_redis_is_away_the_host_shares_and_afterwards_redis_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    send, now = Sender(), [0.0]
    scope = scope_in(tmp_path)

    async def main(server: RedisServer) -> list[Any]:
        async with open_store(server.url, scope) as shared:
            single_flight = SingleFlight(
                FallbackStore(shared, HostAnswerStore(scope, QUOTA), lambda: now[0]), keep_failures=True
            )
            answers = [await single_flight.answer(A, send)]
            await single_flight.flush()
            server.kill()
            answers += [await single_flight.answer(A, send), await single_flight.answer(A, send)]
            server.start()
            answers.append(await single_flight.answer(A, send))
            now[0] += 60
            answers += [await single_flight.answer(A, send), await single_flight.answer(A, send)]
            await single_flight.close()
        return answers

    with redis_running(tmp_path) as server:
        assert asyncio.run(main(server)) == [1, 2, 2, 2, 3, 3]  # it kept nothing on disk
    assert caplog.text.count("answers are shared on this host only for now") == 1


def test_what_redis_holds_goes_by_itself(redis: RedisServer, tmp_path: Path) -> None:
    async def main() -> dict[str, int]:
        async with open_store(redis.url, scope_in(tmp_path)) as opened:
            await opened.exchange(Outbox(), [A, B])
            await opened.exchange(Outbox(answers=[(A, b'{"value": 1}')], failures=[(B, b"{}")]), [C])
            client = connect(redis.url)
            names = [name.decode() async for name in client.scan_iter("*")]
            lives = {name: await client.ttl(name) for name in names if tmp_path.name in name or "owner" in name}
            await client.aclose()
            return lives

    lives = asyncio.run(main())
    assert len(lives) >= 5
    assert all(name.startswith("gateway_batch:tests:") for name in lives)
    assert all(seconds != -1 and seconds <= 60 for seconds in lives.values())  # -1: for ever; -2: gone meanwhile


def test_the_files_are_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "scope"

    async def main() -> set[int]:
        async with open_store("", scope_in(folder)) as opened:
            await opened.exchange(Outbox(), [A])
            return {path.stat().st_mode & 0o777 for path in folder.iterdir()}

    assert asyncio.run(main()) == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
