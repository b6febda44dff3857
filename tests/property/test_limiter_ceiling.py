from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway_batch.admission import HostSlots, Limiter
from gateway_batch.errors import ErrorKind, UnreachableError
from tests.unit.virtual_time import now, run

# Per call: when it comes, how long it takes, how long it would wait, its service, and what is answered.
CALLS = st.tuples(
    st.floats(0, 3),
    st.floats(0, 2),
    st.floats(0.01, 4),
    st.sampled_from("ab"),
    st.sampled_from(["success", "throttled", "failed", "cancelled"]),
    st.none() | st.floats(0, 3),
)


async def play(limiter: Limiter, ceiling: int, calls: list[tuple[float, float, float, str, str, float | None]]) -> None:
    in_flight = 0
    closed_until = {"a": 0.0, "b": 0.0}
    refusals: list[tuple[ErrorKind, bool]] = []
    throttled: set[str] = set()
    calls_of = Counter(each[3] for each in calls)

    async def call(
        comes: float, takes: float, waits: float, service: str, answer: str, retry_after_s: float | None
    ) -> None:
        nonlocal in_flight
        await asyncio.sleep(comes)
        deadline = now() + waits
        try:
            async with limiter.slot(service, deadline) as slot:
                assert now() >= closed_until[service], "sent while the server asked to wait"
                in_flight += 1
                try:
                    assert in_flight <= ceiling
                    await asyncio.sleep(takes)
                finally:
                    in_flight -= 1
                if answer == "success":
                    slot.succeeded()
                elif answer == "throttled":
                    slot.throttled(retry_after_s)
                    throttled.add(service)
                    if slot.refused_alone:
                        assert calls_of[service] > 1, "a 429 is chance only beside other calls"
                    else:
                        closed_until[service] = max(closed_until[service], now() + (retry_after_s or 0))
                elif answer == "failed":
                    slot.failed(int(comes * 1e6))
        except UnreachableError as error:
            # before the deadline only if the service asked to wait beyond it
            refusals.append((error.kind, now() >= deadline or service in throttled))

    tasks = [asyncio.create_task(call(*each)) for each in calls]
    await asyncio.sleep(1.5)
    for task, each in zip(tasks, calls, strict=True):
        if each[4] == "cancelled":
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    assert all(kind is ErrorKind.DEADLINE and allowed for kind, allowed in refusals), refusals
    await asyncio.sleep(5)
    # nothing leaked: all slots can be had again
    async with asyncio.timeout(200):
        spans = await asyncio.gather(*(_hold(limiter) for _ in range(ceiling)))
    assert len({round(began, 3) for began in spans}) == 1


async def _hold(limiter: Limiter) -> float:
    async with limiter.slot("fresh", 1e9):
        began = now()
        await asyncio.sleep(1)
    return began


AT_ONCE = [(0.0, 0.0, 1.0, "a", "success", None)] * 5
A_GRANT_AND_A_429_AT_ONE_MOMENT = [
    *AT_ONCE,
    (0.0, 1.0, 1.0, "a", "success", None),
    (0.0, 1.0, 1.0, "b", "success", None),
    (1.0, 0.0, 1.0, "a", "success", None),
    (0.0, 1.0, 1.0, "a", "throttled", 1.0),
]
A_429_BESIDE_A_GRANT_THAT_HAS_NOT_RUN = [
    *[(0.0, 0.0, 1.0, "b", "success", None)] * 2,
    (0.0, 0.0, 1.0, "a", "throttled", None),
    (1.0, 0.0, 1.0, "a", "success", None),
    (0.0, 0.0, 1.0, "a", "throttled", 1.0),
    (0.0, 0.0, 1.0, "a", "success", None),
]


@settings(max_examples=80, deadline=None)
@example(ceiling=3, calls=A_GRANT_AND_A_429_AT_ONE_MOMENT)
@example(ceiling=2, calls=A_429_BESIDE_A_GRANT_THAT_HAS_NOT_RUN)
@given(ceiling=st.integers(1, 5), calls=st.lists(CALLS, max_size=25))
def test_never_over_the_ceiling_never_early_and_nothing_leaks(
    ceiling: int, calls: list[tuple[float, float, float, str, str, float | None]]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryDirectory() as folder:
            limiter = Limiter(HostSlots(Path(folder) / "slots", ceiling), ceiling, loop.time, lambda: 0.5)
            try:
                await play(limiter, ceiling, calls)
            finally:
                await limiter.close()

    run(main())
