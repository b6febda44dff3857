"""Stores that fail, fill up or are away cost the sharing and not the answers; what they leave goes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.response_cache import (
    Claim,
    FallbackStore,
    HostAnswerStore,
    Outbox,
    PausingStore,
    SingleFlight,
    StoreError,
    host_store,
)
from gateway_batch.response_cache import single_flight as single_flight_module
from gateway_batch.transport.redis_connection import connect
from tests.redis_server import RedisServer, redis_running
from tests.unit.single_flight_bench import Sender, Store

from .answer_stores import QUOTA, A, B, C, claimed_elsewhere, open_store, scope_in
from .refusing_redis import refusing
from .virtual_time import now, run

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


def write_text(path: Path) -> None:
    path.write_text("this is no database, and more than a header is long" * 100)


def write_folder(path: Path) -> None:
    path.mkdir()


def write_corrupt(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL, failed_in TEXT)")
    database.commit()
    database.close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)


def write_other_schema(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE answers (key BLOB PRIMARY KEY, of_later INTEGER)")
        database.commit()


@pytest.mark.parametrize("write", [write_text, write_folder, write_corrupt, write_other_schema])
def test_a_file_that_is_not_ours_costs_the_sharing_and_is_left_alone(
    write: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "answers.sqlite"
    write(path)
    before = path.read_bytes() if path.is_file() else None

    async def work(single_flight: SingleFlight) -> list[Any]:
        return [await single_flight.answer(key, Sender()) for key in (A, B, A)]

    assert Store("", tmp_path).run(work) == [1, 1, 1]
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert "answers can't be shared" in caplog.text
    if write in (write_text, write_corrupt):
        assert path.read_bytes() == before


def test_while_the_file_is_locked_the_loop_runs_and_rows_are_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_store, "_BUSY_TIMEOUT_S", 0.3)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async def main() -> list[Any]:
        turning = asyncio.create_task(turn())
        now = [0.0]
        host = HostAnswerStore(scope_in(tmp_path), QUOTA)
        single_flight = SingleFlight(PausingStore(host, lambda: now[0]), keep_failures=True)
        send = Sender()
        answers = [await single_flight.answer(A, send)]
        await single_flight.flush()
        with contextlib.closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = turns
            answers += [await single_flight.answer(B, send)]
            assert turns > before + 20, "the loop stood still"
            answers += [await single_flight.answer(B, send)]  # in the pause nobody asks the file
            await single_flight.flush()
            other.execute("ROLLBACK")
        now[0] += 60
        answers += [await single_flight.answer(key, send) for key in (A, B, B)]
        await single_flight.close()
        turning.cancel()
        return answers

    assert asyncio.run(main()) == [1, 2, 3, 1, 4, 4]
    assert caplog.text.count("answers can't be shared") == 1


def test_a_process_that_could_not_write_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had claimed before is free for others, though it lives on."""
    monkeypatch.setattr(host_store, "_BUSY_TIMEOUT_S", 0.05)

    async def main() -> list[Any]:
        async with open_store("", scope_in(tmp_path)) as store:
            assert await store.exchange(Outbox(), [A]) == [Claim.MINE]
            with contextlib.closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreError, match="locked"):
                    await store.exchange(Outbox(answers=[(A, b"{}")]), [])
            return (await asyncio.to_thread(claimed_elsewhere, "", tmp_path)).split()

    assert asyncio.run(main()) == ["held", "kept"]


def test_an_exchange_that_is_not_waited_for_any_more_holds_nothing(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        async with open_store("", scope_in(tmp_path)) as store:
            await store.exchange(Outbox(), [B])
            with contextlib.closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                asked = asyncio.create_task(store.exchange(Outbox(), [A]))
                await asyncio.sleep(0.05)
                asked.cancel()
                await asyncio.wait([asked])
                other.execute("ROLLBACK")
            await store.exchange(Outbox(), [C])
            return (await asyncio.to_thread(claimed_elsewhere, "", tmp_path)).split()

    assert asyncio.run(main()) == ["held", "kept"]


def test_a_full_disk_costs_the_sharing_and_not_the_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(single_flight: SingleFlight) -> list[Any]:
        answers = [await single_flight.answer(A, Sender())]
        await single_flight.flush()
        store: Any = single_flight._store
        store._file._database.execute("PRAGMA max_page_count = 1")  # SQLite's own word for a disk without room
        large = [await single_flight.answer(bytes([number]) * 16, text) for number in range(3)]
        await single_flight.flush()
        return [*answers, *map(len, large)]

    async def text() -> str:
        return "x" * 100_000

    assert Store("", tmp_path).run(work) == [1, 100_000, 100_000, 100_000]
    assert "full" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text


@pytest.mark.parametrize("refusal", ["read-only", "full", "wrong password", "another type", "not Redis"])
def test_while_redis_refuses_the_host_shares_and_one_warning_says_why(
    refusal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scope = scope_in(tmp_path)

    async def main(url: str) -> list[Any]:
        async with open_store(url, scope) as shared:
            single_flight = SingleFlight(
                FallbackStore(shared, HostAnswerStore(scope, QUOTA), lambda: 0.0), keep_failures=True
            )
            answers = [await single_flight.answer(key, text) for key in (A, B, A)]
            await single_flight.close()
        return answers

    async def text() -> str:
        sent.append(1)
        return "a secret answer"

    sent: list[int] = []
    password, key = "very-secret" if refusal == "wrong password" else None, f"gateway_batch:tests:bytes:{tmp_path.name}"
    with redis_running(tmp_path, password) as server, refusing(server, refusal, key) as url:
        assert asyncio.run(main(url)) == ["a secret answer"] * 3
    assert len(sent) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert "answers are shared on this host only for now" in caplog.text
    assert "secret" not in caplog.text


def test_an_exchange_that_takes_too_long_is_not_waited_for() -> None:
    class Slow:
        asked = 0

        async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Any]:
            self.asked += 1
            await asyncio.sleep(600)
            return []

        async def close(self) -> None:
            pass

    async def main() -> tuple[list[Any], float, int]:
        slow = Slow()
        single_flight = SingleFlight(PausingStore(slow, now, within_s=1.0), keep_failures=True)
        answers = [await single_flight.answer(key, Sender()) for key in (A, B, C)]
        took = now()
        await single_flight.close()
        return answers, took, slow.asked

    answers, took, asked = run(main())
    assert answers == [1, 1, 1]
    assert took < 1.5
    assert asked == 1


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
