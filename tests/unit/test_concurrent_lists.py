"""Lists of calls that are there as a whole: answered in order, a bounded number at once."""

from __future__ import annotations

import asyncio

import pytest

from gateway_batch.engine.concurrency_window import answer_all
from gateway_batch.errors import CallError, ErrorKind


def test_a_lists_answers_are_in_its_order() -> None:
    async def answer(call: int) -> int:
        await asyncio.sleep(0.02 if call == 1 else 0)
        return call

    assert asyncio.run(answer_all([1, 2, 3], answer, workers=2, fail_fast=True)) == [1, 2, 3]
    assert asyncio.run(answer_all([], answer, workers=2, fail_fast=True)) == []


def test_a_lists_calls_use_all_workers_and_no_more() -> None:
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
