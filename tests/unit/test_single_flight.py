"""Identical requests of a scope are sent once, by whichever process is first; in both kinds of store."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.response_cache import (
    Claim,
    Outbox,
    SingleFlight,
)
from gateway_batch.transport.redis_connection import connect
from tests.unit.single_flight_bench import Sender, Store
from tests.waiting import WITHIN_S

from .answer_stores import LEASE_S, A, B, C, D, open_store, scope_in

pytestmark = pytest.mark.usefixtures("patient")
_HOUR_MS = 3_600_000
ROOT = Path(__file__).parent.parent.parent


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
    failure = CallError(kind, "no such lake", status=400)
    failure.was_sent = True
    send = Sender(failure)
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


@pytest.mark.parametrize("query", ["3", ""], ids=["of a query", "of none"])
@pytest.mark.parametrize("kind", [ErrorKind.SERVER, ErrorKind.BAD_REQUEST, ErrorKind.RATE_LIMIT, ErrorKind.BUDGET])
def test_who_waits_for_a_request_shares_its_failure(store: Store, kind: ErrorKind, query: str) -> None:
    send = Sender(*[CallError(kind, "not now", status=429)] * 300, delay_s=0.05)

    async def work(single_flight: SingleFlight) -> list[Any]:
        return await asyncio.gather(*(single_flight.answer(A, send) for _ in range(300)), return_exceptions=True)

    failures = store.run(work, query=query)
    assert {(type(each), each.kind, each.status, str(each)) for each in failures} == {(CallError, kind, 429, "not now")}
    assert len({id(each) for each in failures}) == 300, "each row has an error of its own to be raised"
    assert send.calls == 1


def test_who_waits_for_a_request_of_a_batch_shares_its_failure(store: Store) -> None:
    calls = []

    async def fail(places: Sequence[int]) -> list[Any]:
        calls.append(list(places))
        await asyncio.sleep(0.05)
        return [CallError(ErrorKind.RATE_LIMIT, "not now") for _ in places]

    async def work(single_flight: SingleFlight) -> list[list[Any]]:
        return await asyncio.gather(*(single_flight.answer_all([A, B], fail) for _ in range(50)))

    failures = [failure for batch in store.run(work, query="") for failure in batch]
    assert [str(failure) for failure in failures] == ["not now"] * 100
    assert calls == [[0, 1]]


def test_who_was_stopped_shares_nothing(store: Store) -> None:
    send = Sender(CallError(ErrorKind.CANCELLED, "stopped"), delay_s=0.01)

    async def work(single_flight: SingleFlight) -> list[Any]:
        return await asyncio.gather(*(single_flight.answer(A, send) for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in store.run(work)] == [CallError, int, int]
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


def test_what_a_stopped_process_holds_is_waited_for_until_the_rows_deadline(store: Store) -> None:
    sent: list[list[int]] = []

    async def send_all(places: Sequence[int]) -> list[Any]:
        sent.append(list(places))
        return list(places)

    async def work(single_flight: SingleFlight) -> list[Any]:
        alone = single_flight.answer(A, Sender())
        waiting = single_flight.answer(A, Sender())
        late = await asyncio.gather(alone, waiting, return_exceptions=True)
        return [*late, *await single_flight.answer_all([A, B], send_all)]

    with holder(store) as other:
        other.send_signal(signal.SIGSTOP)
        try:
            *late, ours = store.run(work, row_deadline_s=0.3)
        finally:
            other.send_signal(signal.SIGCONT)
            other.kill()
    assert ours == 1
    assert sent == [[1]]
    assert [error.kind for error in late] == [ErrorKind.DEADLINE] * 3
    assert all("identical request" in str(error) for error in late)
    assert "another process" in str(late[0])
    assert store.run(lambda single_flight: single_flight.answer(B, Sender())) == 1


def test_an_identical_request_is_waited_for_until_the_rows_deadline(store: Store) -> None:
    async def work(single_flight: SingleFlight) -> list[Any]:
        send = Sender(delay_s=600)
        first = asyncio.create_task(single_flight.answer(A, send))
        await send.begun.wait()
        waited = [*await asyncio.gather(single_flight.answer(A, send), return_exceptions=True)]
        waited += await single_flight.answer_all([A], unused)
        first.cancel()
        await asyncio.wait([first])
        return [*waited, await single_flight.answer(A, Sender())]

    async def unused(places: Sequence[int]) -> list[Any]:
        raise AssertionError

    *late, afterwards = store.run(work, row_deadline_s=0.1)
    assert [error.kind for error in late] == [ErrorKind.DEADLINE] * 2
    assert all("identical request was in flight" in str(error) for error in late)
    assert afterwards == 1


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


def test_only_what_was_sent_is_counted(store: Store) -> None:
    never, failed = CallError(ErrorKind.DEADLINE, "too late"), CallError(ErrorKind.SERVER, "down")
    failed.was_sent = True

    async def work(single_flight: SingleFlight) -> tuple[int, int, int]:
        for key, error in ((b"a", never), (b"b", failed), (b"c", None)):
            with contextlib.suppress(CallError):
                await single_flight.answer(key, Sender(error))

        async def send(places: Sequence[int]) -> Sequence[Any]:
            single_flight.requests += 1
            return [never, failed, 1]

        await single_flight.answer_all([b"d", b"e", b"f"], send)
        return single_flight.take_counts()

    assert store.run(work) == (4, 0, 3)


def test_who_has_time_left_when_the_time_of_the_row_waited_for_is_over_sends_itself(store: Store) -> None:
    late = CallError(ErrorKind.DEADLINE, "too late")
    first, second = Sender(late, delay_s=0.1), Sender()

    async def work(single_flight: SingleFlight) -> tuple[Any, int]:
        one = asyncio.create_task(single_flight.answer(A, first))
        await first.begun.wait()
        answers = await asyncio.gather(one, single_flight.answer(A, second), return_exceptions=True)
        assert str(answers[0]) == "too late"
        return answers[1], single_flight.saved

    assert store.run(work, row_deadline_s=WITHIN_S) == (1, 0), "the late row's failure is neither shared nor kept"
