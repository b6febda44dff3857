"""Many calls through a bounded window: answers in order, no barrier on the way.

For a partition (`answer_in_order`) the caller's thread pulls batches and yields answers; the event loop's thread runs
the calls. They meet once a batch, not once a row. A list that is there as a whole (`answer_all`) needs no such thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway_batch.errors import CallError

Call = TypeVar("Call")
Answer = TypeVar("Answer")

_STOP_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class ConcurrencyWindow:
    """How far a partition runs ahead of the rows it has handed out.

    Attributes:
        workers: calls worked on at once: in flight, waiting for a slot, or between two attempts.
        read_ahead: rows read and not yet handed out, at most, above the last batch read.
        fail_fast: the first failed call ends the partition; else it is that row's answer.
        heartbeat_s: after so long without an answered batch, None is handed out.
    """

    workers: int
    read_ahead: int
    fail_fast: bool
    heartbeat_s: float = math.inf


class _Batch(Generic[Call, Answer]):
    """A batch's calls that have not been started, and its answers. A call is let go as it is started."""

    __slots__ = ("answers", "calls", "left")

    def __init__(self, calls: Sequence[Call | None]) -> None:
        self.calls = deque(calls)
        self.answers: list[Answer | CallError | None] = [None] * len(calls)
        self.left = len(calls)


class _Workers(Generic[Call, Answer]):
    """The event loop's side: workers that take the next call of the oldest batch until none is left."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, answer: Callable[[Call], Awaitable[Answer]], window: ConcurrencyWindow
    ) -> None:
        self._loop = loop
        self._answer = answer
        self._window = window
        self._queue: deque[_Batch[Call, Answer]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._workers = 0  # not len(_running): a task that has ended stays there until the loop's next round
        self.fed = 0  # written by the caller's thread only
        self.started = 0  # written by the loop's thread only
        self.failure: BaseException | None = None
        self.wake = threading.Event()

    def feed(self, batch: _Batch[Call, Answer]) -> None:
        self.fed += len(batch.answers)
        self._loop.call_soon_threadsafe(self._enqueue, batch)

    def hungry(self) -> bool:
        return self.fed - self.started < self._window.workers

    def stop(self) -> None:
        """Cancels what runs and waits until each attempt has its outcome recorded."""
        stopped = asyncio.run_coroutine_threadsafe(self._cancel(), self._loop)
        with contextlib.suppress(TimeoutError):  # the error that ended the partition matters more
            stopped.result(_STOP_WITHIN_S)

    def _enqueue(self, batch: _Batch[Call, Answer]) -> None:
        if self._stopped:
            return
        self._queue.append(batch)
        for _ in range(min(self._window.workers - self._workers, len(batch.calls))):
            self._workers += 1
            task = self._loop.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self) -> None:
        try:
            await self._answer_all()
        finally:
            self._workers -= 1

    async def _answer_all(self) -> None:
        while (place := self._next()) is not None:
            batch, index, call = place
            try:
                batch.answers[index] = await self._answer(call)
            except CallError as error:
                if self._window.fail_fast:
                    return self._fail(error)
                batch.answers[index] = error
            except Exception as error:
                return self._fail(error)
            except asyncio.CancelledError as error:
                if not self._stopped:  # not by us: without an answer the partition would wait for ever
                    self._fail(error)
                raise
            self._done(batch)

    def _next(self) -> tuple[_Batch[Call, Answer], int, Call] | None:
        while self._queue and not self._stopped:
            batch = self._queue[0]
            if not batch.calls:
                self._queue.popleft()
                continue
            index = len(batch.answers) - len(batch.calls)
            call = batch.calls.popleft()
            self.started += 1
            if self.fed - self.started == self._window.workers - 1:
                self.wake.set()
            if call is not None:
                return batch, index, call
            self._done(batch)
        return None

    def _done(self, batch: _Batch[Call, Answer]) -> None:
        batch.left -= 1
        if batch.left == 0:
            self.wake.set()

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self._stopped = True
        self.wake.set()

    async def _cancel(self) -> None:
        self._stopped = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def answer_in_order(
    batches: Iterable[Sequence[Call | None]],
    answer: Callable[[Call], Awaitable[Answer]],
    loop: asyncio.AbstractEventLoop,
    window: ConcurrencyWindow,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[list[Answer | CallError | None] | None, None, None]:
    """Answers batches of calls, in order, while calls of later batches are under way.

    Args:
        batches: calls, None for a row that sends nothing. Pulled as workers come free, in the caller's thread.
        answer: one call's answer; runs on `loop`.
        loop: an event loop that runs in another thread.
        window: how much at once.
        clock: monotonic seconds.

    Yields:
        For each batch its answers: a value, the call's error, or None for a None. Between them None, each time that
        `heartbeat_s` have passed without any.

    Raises:
        CallError: with `fail_fast`, the first call that failed.
        Exception: what `answer` raised that is not a call's error. Either way nothing more is started, and what was
            under way is cancelled.
    """
    workers: _Workers[Call, Answer] = _Workers(loop, answer, window)
    source, pending, unanswered = iter(batches), deque[_Batch[Call, Answer]](), 0
    more, beat_at = True, clock() + window.heartbeat_s
    try:
        while more or pending:
            if workers.failure is not None:
                raise workers.failure
            if pending and pending[0].left == 0:
                answers = pending.popleft().answers
                unanswered -= len(answers)
                yield answers
                del answers
                beat_at = clock() + window.heartbeat_s
            elif (until_beat_s := beat_at - clock()) <= 0:
                yield None
                beat_at = clock() + window.heartbeat_s
            elif more and workers.hungry() and unanswered < window.read_ahead:
                calls = next(source, None)
                if calls is None:
                    more = False
                    continue
                batch = _Batch[Call, Answer](calls)
                del calls
                unanswered += batch.left
                pending.append(batch)
                workers.feed(batch)
                del batch
            else:
                workers.wake.wait(min(until_beat_s, threading.TIMEOUT_MAX))
                workers.wake.clear()
    finally:
        workers.stop()


async def answer_all(
    calls: Sequence[Call], answer: Callable[[Call], Awaitable[Answer]], *, workers: int, fail_fast: bool
) -> list[Answer | CallError]:
    """Answers a list of calls, in order, on the loop it is awaited on.

    Args:
        calls: all of them.
        answer: one call's answer.
        workers: calls worked on at once.
        fail_fast: the first failed call ends it; else it is that place's answer.

    Raises:
        CallError: with `fail_fast`, the first call that failed.
        Exception: what `answer` raised that is not a call's error. Either way nothing more is started, and what was
            under way has been cancelled.
    """
    answers: dict[int, Answer | CallError] = {}
    places = iter(enumerate(calls))

    async def worker() -> None:
        for place, call in places:
            try:
                answers[place] = await answer(call)
            except CallError as error:
                if fail_fast:
                    raise
                answers[place] = error

    try:
        async with asyncio.TaskGroup() as running:
            for _ in range(min(workers, len(calls))):
                running.create_task(worker())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [answers[place] for place in range(len(calls))]
