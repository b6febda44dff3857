"""Identical requests of a scope are sent once, by whichever process is first; in both kinds of store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.response_cache import (
    Claim,
    FallbackStore,
    HostAnswerStore,
    KeyMaker,
    Outbox,
    SingleFlight,
    StoreError,
)
from gateway_batch.response_cache import single_flight as single_flight_module
from gateway_batch.transport.redis_connection import connect
from gateway_batch.types import EmbeddingRequest, Image, InferenceRequest, RecordRequest, ResponseFormat
from tests.redis_server import RedisServer, redis_running
from tests.waiting import WITHIN_S

from .answer_stores import LEASE_S, QUOTA, A, B, C, D, open_store, scope_in
from .samples import CHAT

pytestmark = pytest.mark.usefixtures("patient")
T = TypeVar("T")
_HOUR_MS = 3_600_000
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Store:
    """Where a test's scope has its answers."""

    url: str
    folder: Path

    def run(self, work: Callable[[SingleFlight], Awaitable[T]], *, query: str = "3", quota_bytes: int = QUOTA) -> T:
        """What a process of its own would get: flights over a store opened anew."""

        async def main() -> T:
            async with open_store(self.url, scope_in(self.folder, query), quota_bytes) as opened:
                single_flight = SingleFlight(opened, keep_failures=bool(query))
                try:
                    return await work(single_flight)
                finally:
                    await single_flight.close()

        return asyncio.run(main())


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["host", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = request.getfixturevalue("redis").url if request.param == "redis" else ""
    return Store(url, tmp_path)


class Sender:
    """Answers with how often it was asked."""

    def __init__(self, *errors: CallError | None, delay_s: float = 0.0) -> None:
        self.calls = 0
        self.begun = asyncio.Event()
        self._errors = list(errors)
        self._delay_s = delay_s

    async def __call__(self) -> int:
        self.calls += 1
        count = self.calls
        self.begun.set()
        await asyncio.sleep(self._delay_s)
        if self._errors and (error := self._errors.pop(0)) is not None:
            raise error
        return count


def test_identical_requests_at_once_are_sent_once(store: Store) -> None:
    send = Sender(delay_s=0.02)
    answers = store.run(lambda single_flight: asyncio.gather(*(single_flight.answer(A, send) for _ in range(5))))
    assert answers == [1] * 5
    assert send.calls == 1


def test_an_answer_is_there_for_those_who_come_later(store: Store) -> None:
    send = Sender()

    async def work(single_flight: SingleFlight) -> list[Any]:
        return [await single_flight.answer(key, send) for key in (A, B, A)]

    assert store.run(work) == [1, 2, 1]
    assert store.run(work) == [1, 2, 1]
    assert send.calls == 2


@pytest.mark.parametrize("value", [Decimal("NaN"), {"a": [Decimal("-Infinity"), 2**70]}], ids=str)
def test_an_answer_that_is_no_json_number_is_shared_as_it_is(store: Store, value: Any) -> None:
    calls = []

    async def send() -> Any:
        calls.append(1)
        return value

    found = [store.run(lambda single_flight: single_flight.answer(A, send)) for _ in range(2)]
    assert [str(each) for each in found] == [str(value)] * 2
    assert calls == [1]


@pytest.mark.parametrize("kind", [ErrorKind.BAD_REQUEST, ErrorKind.SERVER, ErrorKind.NOT_JSON, ErrorKind.DEADLINE])
def test_a_failure_is_kept_for_the_next_try_of_the_task(store: Store, kind: ErrorKind) -> None:
    send = Sender(CallError(kind, "no such lake", status=400))
    for _ in range(2):
        with pytest.raises(CallError, match="no such lake") as caught:
            store.run(lambda single_flight: single_flight.answer(A, send))
        assert (caught.value.kind, caught.value.status) == (kind, 400)
    assert send.calls == 1


def test_a_failure_holds_for_the_query_that_paid_it_and_answers_for_the_scope(store: Store) -> None:
    send = Sender(CallError(ErrorKind.BAD_REQUEST, "no such lake", status=400), None)
    with pytest.raises(CallError, match="no such lake"):
        store.run(lambda single_flight: single_flight.answer(A, send), query="3")
    assert store.run(lambda single_flight: single_flight.answer(A, send), query="4") == 2
    assert store.run(lambda single_flight: single_flight.answer(A, send), query="3") == 2


@pytest.mark.parametrize(
    ("kind", "query"),
    [(ErrorKind.RATE_LIMIT, "3"), (ErrorKind.BUDGET, "3"), (ErrorKind.CANCELLED, "3"), (ErrorKind.BAD_REQUEST, "")],
)
def test_what_was_not_tried_or_has_no_query_is_tried_again(store: Store, kind: ErrorKind, query: str) -> None:
    send = Sender(CallError(kind, "not now"))
    with pytest.raises(CallError, match="not now"):
        store.run(lambda single_flight: single_flight.answer(A, send), query=query)
    assert store.run(lambda single_flight: single_flight.answer(A, send), query=query) == 2


def test_who_waits_for_what_was_not_tried_tries_itself(store: Store) -> None:
    send = Sender(CallError(ErrorKind.RATE_LIMIT, "not now"), delay_s=0.01)

    async def work(single_flight: SingleFlight) -> list[Any]:
        return await asyncio.gather(*(single_flight.answer(A, send) for _ in range(3)), return_exceptions=True)

    answers = store.run(work)
    assert [type(answer) for answer in answers] == [CallError, int, int]
    assert send.calls == 2


@pytest.mark.parametrize("after_s", [0.0, 0.003, None], ids=["at once", "as it asks the store", "as it is sent"])
def test_a_cancelled_request_leaves_its_claim_to_others(store: Store, after_s: float | None) -> None:
    async def work(single_flight: SingleFlight) -> Any:
        send = Sender(delay_s=600)
        stuck = asyncio.create_task(single_flight.answer(A, send))
        await (send.begun.wait() if after_s is None else asyncio.sleep(after_s))
        stuck.cancel()
        await asyncio.wait([stuck])
        return await asyncio.wait_for(single_flight.answer(A, Sender()), WITHIN_S)

    assert store.run(work) == 1


def test_of_several_requests_only_new_ones_are_sent_together(store: Store) -> None:
    sent: list[list[int]] = []

    async def send(places: Sequence[int]) -> list[Any]:
        sent.append(list(places))
        return [CallError(ErrorKind.SERVER, "down") if place == 3 else place * 10 for place in places]

    async def work(single_flight: SingleFlight) -> list[Any]:
        first = await single_flight.answer_all([A, B], send)
        return [first, await single_flight.answer_all([B, A, C, D, C], send)]

    first, second = store.run(work)
    assert first == [0, 10]
    assert sent == [[0, 1], [2, 3]]
    assert second[:3] == [10, 0, 20]
    assert isinstance(second[3], CallError)
    assert second[4] == 20


def test_what_was_sent_and_saved_is_counted(store: Store) -> None:
    async def send_all(places: Sequence[int]) -> list[Any]:
        return [place for place in places]

    async def work(single_flight: SingleFlight) -> list[tuple[int, int, int]]:
        await single_flight.answer(A, Sender())
        await asyncio.gather(*(single_flight.answer(A, Sender()) for _ in range(2)))
        counts = [single_flight.take_counts()]
        await asyncio.gather(*(single_flight.answer(B, Sender(delay_s=0.01)) for _ in range(3)))
        await single_flight.answer_all([A, C, C], send_all)
        return [*counts, single_flight.take_counts(), single_flight.take_counts()]

    assert store.run(work) == [(1, 2, 1), (2, 4, 1), (0, 0, 0)], "requests for several are counted by who sends them"


def holder(store: Store) -> subprocess.Popen[str]:
    """Another process at work on request A."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.answer_stores", store.url, str(store.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@asynccontextmanager
async def lease_of_the_holder(store: Store) -> AsyncIterator[tuple[Redis, str]]:
    """A connection to the scope's Redis, and the key that lives as long as the lease of who holds request A."""
    redis = connect(store.url)
    try:
        claim = await redis.get(f"gateway_batch:tests:{store.folder.name}:{A.hex()}")
        assert isinstance(claim, bytes)
        yield redis, f"gateway_batch:tests:owner:{claim[1:].decode()}"
    finally:
        await redis.aclose()


async def renewal(store: Store) -> None:
    """Waits until the holder has renewed its lease, which has an hour until then and again from then on."""
    async with lease_of_the_holder(store) as (redis, lease):
        await redis.pexpire(lease, _HOUR_MS)
        while await redis.pttl(lease) > LEASE_S * 1000:  # noqa: ASYNC110 - another process renews it
            await asyncio.sleep(0.01)
        await redis.pexpire(lease, _HOUR_MS)


async def kill(other: subprocess.Popen[str], store: Store) -> None:
    """Kills a holder; its lease, if it has one, would end by itself, and is ended now."""
    other.kill()
    other.wait()
    if store.url:
        async with lease_of_the_holder(store) as (redis, lease):
            left_ms = await redis.pttl(lease)
            assert left_ms != -1, "a lease without an end"
            assert left_ms <= LEASE_S * 1000
            await redis.delete(lease)


def test_what_another_process_is_at_work_on_is_waited_for(store: Store) -> None:
    send = Sender()
    with holder(store) as other:

        async def work(single_flight: SingleFlight) -> Any:
            waiting = asyncio.create_task(single_flight.answer(A, send))
            await (renewal(store) if store.url else asyncio.sleep(0.2))
            assert not waiting.done()
            assert other.stdin is not None
            other.stdin.write("\n")
            other.stdin.flush()
            return await asyncio.wait_for(waiting, WITHIN_S)

        assert store.run(work) == "theirs"
        other.kill()
    assert send.calls == 0


def test_the_claim_of_a_process_that_died_is_taken_over(store: Store) -> None:
    with holder(store) as other:

        async def work(single_flight: SingleFlight) -> Any:
            waiting = asyncio.create_task(single_flight.answer(A, Sender()))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await kill(other, store)
            return await asyncio.wait_for(waiting, WITHIN_S)

        assert store.run(work) == 1


def test_what_is_ours_is_sent_before_what_others_hold_is_waited_for(store: Store) -> None:
    sent: list[list[int]] = []
    ours_is_sent = asyncio.Event()

    async def send(places: Sequence[int]) -> list[Any]:
        sent.append(list(places))
        ours_is_sent.set()
        return list(places)

    with holder(store) as other:

        async def work(single_flight: SingleFlight) -> list[Any]:
            waiting = asyncio.create_task(single_flight.answer_all([A, B], send))
            await ours_is_sent.wait()
            assert sent == [[1]]
            await kill(other, store)
            return await asyncio.wait_for(waiting, WITHIN_S)

        assert store.run(work) == [0, 1]
    assert sent == [[1], [0]]


def test_a_store_that_was_closed_holds_nothing(store: Store) -> None:
    async def main() -> list[Any]:
        async with open_store(store.url, scope_in(store.folder)) as opened:
            await opened.exchange(Outbox(), [A])
        async with open_store(store.url, scope_in(store.folder)) as opened:
            return list(await opened.exchange(Outbox(), [A]))

    assert asyncio.run(main()) == [Claim.MINE]


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


def test_a_successor_on_the_same_byte_does_not_hold_what_the_dead_held(tmp_path: Path) -> None:
    with holder(Store("", tmp_path)) as dead:
        dead.kill()
        dead.wait()

    async def main() -> None:
        async with open_store("", scope_in(tmp_path)) as successor:
            await successor.exchange(Outbox(), [B])
            with holder(Store("", tmp_path)) as other:  # it gets A, though the dead one's byte is locked again
                other.kill()

    asyncio.run(main())


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


def test_all_that_is_sent_is_in_the_key() -> None:
    make = KeyMaker(CHAT).of_prompt
    requests = [
        InferenceRequest("a"),
        InferenceRequest("b"),
        InferenceRequest("a", {"temperature": 0.5}),
        InferenceRequest("a", {}, {"team": "search"}),
        InferenceRequest("a", instructions="b"),
        InferenceRequest("a", response_format=ResponseFormat()),
        InferenceRequest("a", response_format=ResponseFormat({"type": "object"})),
        InferenceRequest("a", response_format=ResponseFormat({"properties": {"why": {}, "stars": {}}})),
        InferenceRequest("a", response_format=ResponseFormat({"properties": {"stars": {}, "why": {}}})),
        InferenceRequest("a", images=(Image(b"x", "image/png"),)),
    ]
    assert len({make(request) for request in requests}) == len(requests)
    assert make(InferenceRequest("a", {"x": 1, "y": 2})) == make(InferenceRequest("a", {"y": 2, "x": 1}))


def test_each_text_and_record_has_its_key() -> None:
    keys = KeyMaker(CHAT)
    assert keys.of_texts(EmbeddingRequest(("a", "b"))) == [
        *keys.of_texts(EmbeddingRequest(("a",))),
        *keys.of_texts(EmbeddingRequest(("b",))),
    ]
    assert keys.of_record(RecordRequest({"a": 1, "b": 2})) == keys.of_record(RecordRequest({"b": 2, "a": 1}))
    assert keys.of_record(RecordRequest({"a": 1})) != keys.of_record(RecordRequest({"a": 1.5}))
