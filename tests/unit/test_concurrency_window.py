from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Iterator

from gateway_batch.engine.concurrency_window import answer_in_order
from gateway_batch.errors import CallError, ErrorKind
from tests.unit.window_calls import Loop, window
from tests.waiting import wait_until


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


def test_all_workers_are_used_and_no_more(loop: Loop) -> None:
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


def test_batches_are_pulled_in_the_callers_thread(loop: Loop) -> None:
    threads: set[int] = set()

    def source() -> Iterator[list[int]]:
        for n in range(3):
            threads.add(threading.get_ident())
            yield [n]

    list(answer_in_order(source(), double, loop, window()))
    assert threads == {threading.get_ident()}
