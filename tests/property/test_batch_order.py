from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_batch.engine.concurrency_window import ConcurrencyWindow, answer_in_order
from gateway_batch.errors import CallError, ErrorKind
from tests.unit.loop_thread import loop_thread

# A row: None, or how many milliseconds it takes and whether it fails.
ROWS = st.none() | st.tuples(st.sampled_from([0, 0, 0, 0.2, 1, 3]), st.booleans())
BATCHES = st.lists(st.lists(ROWS, max_size=7), max_size=8)
Call = tuple[int, float, bool]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with loop_thread() as loop:
        yield loop


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=BATCHES, workers=st.integers(1, 6), read_ahead=st.integers(1, 20))
def test_one_answer_a_row_in_order_within_the_window(
    loop: asyncio.AbstractEventLoop, batches: list[list[tuple[float, bool] | None]], workers: int, read_ahead: int
) -> None:
    numbered: list[list[Call | None]] = []
    count = 0
    for batch in batches:
        numbered.append([None if row is None else (count + n, *row) for n, row in enumerate(batch)])
        count += len(batch)
    running = most = read = handed_out = 0

    def source() -> Iterator[list[Call | None]]:
        nonlocal read
        for batch in numbered:
            assert read - handed_out < read_ahead
            read += len(batch)
            yield batch

    async def answer(call: Call) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if call[1]:
            await asyncio.sleep(call[1] / 1000)
        running -= 1
        if call[2]:
            raise CallError(ErrorKind.SERVER, str(call[0]))
        return call[0]

    found: list[list[str | int | None]] = []
    for answers in answer_in_order(source(), answer, loop, ConcurrencyWindow(workers, read_ahead, fail_fast=False)):
        assert answers is not None
        found.append([str(a) if isinstance(a, CallError) else a for a in answers])
        handed_out += len(answers)
    assert found == [
        [None if call is None else str(call[0]) if call[2] else call[0] for call in batch] for batch in numbered
    ]
    assert most <= workers
