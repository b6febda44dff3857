from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway_batch.engine import concurrency_window as batch_module
from gateway_batch.engine.concurrency_window import ConcurrencyWindow, answer_all, answer_in_order
from gateway_batch.errors import CallError, ErrorKind
from tests.waiting import WITHIN_S, wait_until

from .loop_thread import loop_thread

Loop = asyncio.AbstractEventLoop


@pytest.fixture
def loop() -> Iterator[Loop]:
    with loop_thread() as loop:
        yield loop
        assert not asyncio.all_tasks(loop), "work was left behind"


def window(workers: int = 4, read_ahead: int = 100, *, fail_fast: bool = False) -> ConcurrencyWindow:
    return ConcurrencyWindow(workers, read_ahead, fail_fast)


async def double(call: int) -> int:
    await asyncio.sleep(0)
    return 2 * call


def test_each_batch_has_its_answers_in_order(loop: Loop) -> None:
    answers = answer_in_order([[1, 2], [3], [4, 5, 6]], double, loop, window())
    assert list(answers) == [[2, 4], [6], [8, 10, 12]]


def test_a_slow_call_does_not_change_the_order(loop: Loop) -> None:
    async def answer(call: int) -> int:
        await asyncio.sleep(0.1 if call == 1 else 0)
        return call

    assert list(answer_in_order([[1, 2], [3]], answer, loop, window())) == [[1, 2], [3]]


def test_a_row_without_a_call_is_answered_none_and_costs_no_call(loop: Loop) -> None:
    calls: list[int] = []

    async def answer(call: int) -> int:
        calls.append(call)
        return call

    assert list(answer_in_order([[None, 1, None], [None], [2, None]], answer, loop, window(workers=1))) == [
        [None, 1, None],
        [None],
        [2, None],
    ]
    assert calls == [1, 2]


def test_empty_batches_are_answered_empty(loop: Loop) -> None:
    assert list(answer_in_order([[], [1], [], []], double, loop, window())) == [[], [2], [], []]


def test_no_batches_no_answers(loop: Loop) -> None:
    no_batches: list[list[int]] = []
    assert list(answer_in_order(no_batches, double, loop, window())) == []


def test_calls_are_let_go_while_an_earlier_one_still_runs(loop: Loop) -> None:
    class Prompt:
        pass

    alive, started = weakref.WeakSet[Prompt](), list[int]()

    def batches() -> Iterator[list[Prompt]]:
        prompts = [Prompt() for _ in range(60)]
        alive.update(prompts)
        yield prompts

    async def answer(call: Prompt) -> int:
        started.append(id(call))
        if len(started) == 1:
            await asyncio.to_thread(wait_until, lambda: len(alive) == 1, "that its own prompt alone is left")
        return 0

    assert list(answer_in_order(batches(), answer, loop, window(workers=2))) == [[0] * 60]


def test_a_failed_call_is_its_rows_answer(loop: Loop) -> None:
    error = CallError(ErrorKind.SERVER, "down")

    async def answer(call: int) -> int:
        if call == 2:
            raise error
        return call

    assert list(answer_in_order([[1, 2, 3]], answer, loop, window())) == [[1, error, 3]]


def test_all_lanes_are_used_and_no_more(loop: Loop) -> None:
    running, most = 0, 0

    async def answer(call: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return call

    batches = [list(range(7)) for _ in range(6)]
    assert list(answer_in_order(batches, answer, loop, window(workers=5))) == batches
    assert most == 5


def test_a_slow_head_does_not_stop_later_batches(loop: Loop) -> None:
    head_may_go = asyncio.Event()

    async def answer(call: str) -> str:
        if call == "head":
            await head_may_go.wait()
        if call == "of the fourth batch":
            head_may_go.set()
        return call

    batches = [["head"], ["b"], ["c"], ["of the fourth batch"]]
    assert list(answer_in_order(batches, answer, loop, window(workers=2))) == batches


def test_the_calls_of_two_batches_are_in_flight_together(loop: Loop) -> None:
    meeting = asyncio.Barrier(6)

    async def answer(call: int) -> int:
        await meeting.wait()
        return call

    assert list(answer_in_order([[1, 2, 3, 4], [5, 6]], answer, loop, window(workers=6))) == [
        [1, 2, 3, 4],
        [5, 6],
    ]


def test_no_more_rows_are_read_ahead_than_allowed(loop: Loop) -> None:
    head_may_go = asyncio.Event()
    read = 0

    def source() -> Iterator[list[int]]:
        nonlocal read
        for start in range(0, 60, 3):
            read += 3
            if read == 12:
                loop.call_soon_threadsafe(loop.call_later, 0.1, head_may_go.set)
            yield [start, start + 1, start + 2]

    async def answer(call: int) -> int:
        if call == 0:
            await head_may_go.wait()
        return call

    answers = answer_in_order(source(), answer, loop, window(workers=2, read_ahead=10))
    assert next(answers) == [0, 1, 2]
    assert read == 12, "10 rows, and the batch that reached them"
    assert [row for batch in answers for row in batch or ()] == list(range(3, 60))


def test_no_batch_is_read_before_there_is_work_for_it(loop: Loop) -> None:
    may_go = asyncio.Event()
    read: list[int] = []

    def source() -> Iterator[list[int]]:
        for start in range(5):
            read.append(start)
            if start == 0:
                loop.call_soon_threadsafe(loop.call_later, 0.1, look_and_go)
            yield [start] * 10

    async def answer(call: int) -> int:
        await may_go.wait()
        return call

    read_meanwhile: list[int] = []

    def look_and_go() -> None:
        read_meanwhile.extend(read)
        may_go.set()

    assert len(list(answer_in_order(source(), answer, loop, window(workers=4)))) == 5
    assert read_meanwhile == [0], "six calls of the first batch still waited for a worker"


def test_the_first_failure_ends_the_partition_if_asked(loop: Loop) -> None:
    stopped: list[int] = []

    async def answer(call: int) -> int:
        if call == 3:
            raise CallError(ErrorKind.SERVER, "down")
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)  # an outcome is recorded
            stopped.append(call)
            raise
        return call

    with pytest.raises(CallError, match="down"):
        list(answer_in_order([[1, 2, 3, 4]], answer, loop, window(workers=3, fail_fast=True)))
    assert sorted(stopped) == [1, 2], "what ran is cancelled and its outcome recorded; the rest never started"


def test_a_defect_ends_the_partition_whatever_was_asked(loop: Loop) -> None:
    async def answer(call: int) -> int:
        if call == 2:
            raise ZeroDivisionError
        await asyncio.sleep(600)
        return call

    with pytest.raises(ZeroDivisionError):
        list(answer_in_order([[1, 2, 3]], answer, loop, window(fail_fast=False)))


def test_an_early_close_cancels_what_runs_and_waits_for_its_outcome(loop: Loop) -> None:
    stopped: list[int] = []
    all_run = asyncio.Barrier(4)

    async def answer(call: int) -> int:
        try:
            await all_run.wait()
            if call == 1:
                return call
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.01)
            stopped.append(call)
        return call

    answers = answer_in_order([[1], [2, 3, 4]], answer, loop, window(workers=4))
    assert next(answers) == [1]
    answers.close()
    assert sorted(stopped) == [1, 2, 3, 4]


def test_nothing_starts_after_an_early_close(loop: Loop) -> None:
    started: list[int] = []

    async def answer(call: int) -> int:
        started.append(call)
        await asyncio.sleep(0.001)
        return call

    answers = answer_in_order([[1], *([n] for n in range(500))], answer, loop, window(workers=2, read_ahead=4))
    next(answers)
    answers.close()
    count = len(started)
    time.sleep(0.05)
    assert len(started) == count < 50


def test_without_answers_there_is_a_beat(loop: Loop) -> None:
    may_go = asyncio.Event()

    async def answer(call: int) -> int:
        await may_go.wait()
        return call

    answers = answer_in_order([[1, 2]], answer, loop, replace(window(), heartbeat_s=0.01))
    assert [next(answers) for _ in range(3)] == [None] * 3
    loop.call_soon_threadsafe(may_go.set)
    assert [batch for batch in answers if batch is not None] == [[1, 2]]


def test_beats_come_although_the_loop_wakes_again_and_again(loop: Loop) -> None:
    """By this clock a second passes with each look at it: with each time that the loop wakes the caller."""
    head_may_go = asyncio.Event()
    answered: list[int] = []

    async def answer(call: int) -> int:
        await (head_may_go.wait() if call == 0 else asyncio.sleep(0.002))
        answered.append(call)
        return call

    seconds = itertools.count().__next__
    answers = answer_in_order(
        ([n] for n in range(300)), answer, loop, replace(window(workers=2, read_ahead=400), heartbeat_s=50.0), seconds
    )
    assert next(answers) is None, "calls behind the first are answered all the time, and none can be handed out"
    assert len(answered) < 299
    loop.call_soon_threadsafe(head_may_go.set)
    assert [batch for batch in answers if batch is not None] == [[n] for n in range(300)]


def test_an_error_of_the_source_propagates_after_clean_up(loop: Loop) -> None:
    stopped: list[int] = []

    def source() -> Iterator[list[int]]:
        yield [1, 2]
        wait_until(lambda: len(running) == 2)
        raise OSError("the upstream broke")

    running: list[int] = []

    async def answer(call: int) -> int:
        running.append(call)
        try:
            await asyncio.sleep(600)
        finally:
            stopped.append(call)
        return call

    with pytest.raises(OSError, match="the upstream broke"):
        list(answer_in_order(source(), answer, loop, window()))
    assert sorted(stopped) == [1, 2]


def test_batches_are_pulled_in_the_callers_thread(loop: Loop) -> None:
    threads: set[int] = set()

    def source() -> Iterator[list[int]]:
        for n in range(3):
            threads.add(threading.get_ident())
            yield [n]

    list(answer_in_order(source(), double, loop, window()))
    assert threads == {threading.get_ident()}


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released each time that a batch is in the loop's queue."""
    fed, feed = threading.Semaphore(0), batch_module._Workers.feed

    def feed_and_tell(workers: Any, batch: Any) -> None:
        feed(workers, batch)
        fed.release()

    monkeypatch.setattr(batch_module._Workers, "feed", feed_and_tell)
    return fed


def test_a_batch_that_comes_as_the_last_call_ends_is_answered(loop: Loop, fed: threading.Semaphore) -> None:
    """The worker has ended, but the loop has not yet run what follows: the batch needs a worker all the same."""

    async def answer(call: int) -> int:
        if call == 1:  # blocks the loop until both batches are in its queue
            assert fed.acquire(timeout=WITHIN_S)
            assert fed.acquire(timeout=WITHIN_S)
        return call

    finished = threading.Event()
    answers: list[list[int | CallError | None] | None] = []

    def consume() -> None:
        answers.extend(answer_in_order([[1], [2]], answer, loop, window(workers=1)))
        finished.set()

    threading.Thread(target=consume, daemon=True).start()
    assert finished.wait(WITHIN_S), "nobody works on the second batch"
    assert answers == [[1], [2]]


def test_no_lane_is_lost_when_a_batch_comes_as_others_end(loop: Loop, fed: threading.Semaphore) -> None:
    begun = threading.Event()
    running, most = 0, 0

    def source() -> Iterator[list[int]]:
        yield [0]
        assert begun.wait(WITHIN_S)
        yield [1, 2, 3, 4]

    async def answer(call: int) -> int:
        nonlocal running, most
        if call == 0:
            begun.set()
            assert fed.acquire(timeout=WITHIN_S)  # as above
            assert fed.acquire(timeout=WITHIN_S)
            return call
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return call

    assert list(answer_in_order(source(), answer, loop, window(workers=2))) == [[0], [1, 2, 3, 4]]
    assert most == 2


def test_a_call_that_is_cancelled_from_within_does_not_hang_the_partition(loop: Loop) -> None:
    async def answer(call: int) -> int:
        if call == 1:
            raise asyncio.CancelledError
        return call

    finished = threading.Event()

    def consume() -> None:
        with contextlib.suppress(BaseException):
            list(answer_in_order([[1, 2]], answer, loop, window()))
        finished.set()

    threading.Thread(target=consume, daemon=True).start()
    assert finished.wait(WITHIN_S), "the partition waits for an answer that will never come"


def test_a_lists_answers_are_in_its_order() -> None:
    async def answer(call: int) -> int:
        await asyncio.sleep(0.02 if call == 1 else 0)
        return call

    assert asyncio.run(answer_all([1, 2, 3], answer, workers=2, fail_fast=True)) == [1, 2, 3]
    assert asyncio.run(answer_all([], answer, workers=2, fail_fast=True)) == []


def test_a_lists_calls_use_all_lanes_and_no_more() -> None:
    running, most = 0, 0

    async def answer(call: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1

    asyncio.run(answer_all(range(40), answer, workers=5, fail_fast=True))
    assert most == 5


def test_a_failed_call_stands_in_its_place_of_the_list() -> None:
    error = CallError(ErrorKind.SERVER, "down")

    async def answer(call: int) -> int:
        if call == 2:
            raise error
        return call

    assert asyncio.run(answer_all([1, 2, 3], answer, workers=1, fail_fast=False)) == [1, error, 3]


@pytest.mark.parametrize("failure", [CallError(ErrorKind.SERVER, "down"), ZeroDivisionError("a defect")])
def test_the_first_failure_ends_the_list_if_asked(failure: Exception) -> None:
    begun, stopped = [], []

    async def answer(call: int) -> int:
        begun.append(call)
        if call == 3:
            raise failure
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.01)  # an outcome is recorded
            stopped.append(call)
        return call

    with pytest.raises(type(failure)) as caught:
        asyncio.run(answer_all([1, 2, 3, 4], answer, workers=3, fail_fast=True))
    assert caught.value is failure
    assert (begun, sorted(stopped)) == ([1, 2, 3], [1, 2]), "the rest never started"
