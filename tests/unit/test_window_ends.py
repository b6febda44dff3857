"""How a partition ends and what happens between batches: heartbeats, failures, races with the loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway_batch.engine import concurrency_window as batch_module
from gateway_batch.engine.concurrency_window import answer_in_order
from gateway_batch.errors import CallError, ErrorKind
from tests.unit.window_calls import Loop, window
from tests.waiting import WITHIN_S, wait_until


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


def test_without_answers_there_is_a_heartbeat(loop: Loop) -> None:
    may_go = asyncio.Event()

    async def answer(call: int) -> int:
        await may_go.wait()
        return call

    answers = answer_in_order([[1, 2]], answer, loop, replace(window(), heartbeat_s=0.01))
    assert [next(answers) for _ in range(3)] == [None] * 3
    loop.call_soon_threadsafe(may_go.set)
    assert [batch for batch in answers if batch is not None] == [[1, 2]]


def test_heartbeats_come_although_the_loop_wakes_again_and_again(loop: Loop) -> None:
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


def test_no_worker_is_lost_when_a_batch_comes_as_others_end(loop: Loop, fed: threading.Semaphore) -> None:
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
