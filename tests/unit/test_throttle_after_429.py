"""What a limiter makes of a service's limits: simulated services, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway_batch.admission import HostSlots, Limiter
from gateway_batch.admission.shared_throttle import CELLS, PrivateThrottleStates, SharedThrottleState
from gateway_batch.admission.throttle_after_429 import AdaptiveThrottle

from .virtual_time import now, run


@dataclass
class Reported:
    """When a service was asked, and what it answered."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)


@dataclass
class TokenBucket:
    """Answers 429 when its bucket is empty, else after its latency."""

    rate: float
    burst: float
    latency_s: float
    whole_seconds: bool = True
    level: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def refuses(self) -> float | None:
        """Seconds to wait, None if it lets the call through."""
        self.level = min(self.burst, self.level + (now() - self.filled_at) * self.rate)
        self.filled_at = now()
        if self.level >= 1:
            self.level -= 1
            return None
        wait_s = (1 - self.level) / self.rate
        return max(1.0, math.ceil(wait_s)) if self.whole_seconds else wait_s


async def call_for(
    seconds: float, limiter: Limiter, service: TokenBucket, reported: Reported, lanes: int = 128
) -> None:
    """Keeps calling a service, with more calls at hand than the limiter lets through."""
    until = now() + seconds

    async def lane() -> None:
        while now() < until:
            async with limiter.slot("s", until + 900) as slot:
                if now() >= until:
                    return
                if (wait_s := service.refuses()) is not None:
                    reported.refused.append(now())
                    slot.throttled(wait_s)
                    continue
                reported.accepted.append(now())
                await asyncio.sleep(service.latency_s)
                slot.succeeded()

    await asyncio.gather(*(lane() for _ in range(lanes)))


def simulate(tmp_path: Path, scene: Callable[[Limiter], Awaitable[None]], ceiling: int = 64) -> None:
    async def main() -> None:
        limiter = Limiter(HostSlots(tmp_path / "slots", ceiling), ceiling, now, lambda: 0.5)
        try:
            await scene(limiter)
        finally:
            await limiter.close()

    run(main())


@pytest.mark.parametrize("latency_s", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("whole_seconds", [True, False])
@pytest.mark.parametrize("rate", [50.0, 300.0])
def test_a_rate_limit_is_used_to_the_full_with_few_429s(
    tmp_path: Path, rate: float, whole_seconds: bool, latency_s: float
) -> None:
    reported, service = Reported(), TokenBucket(rate, rate, latency_s, whole_seconds)
    reach = min(rate, 64 / latency_s)
    simulate(tmp_path, lambda limiter: call_for(60, limiter, service, reported))
    assert sum(5 <= at < 60 for at in reported.accepted) >= 0.95 * 55 * reach
    assert len(reported.refused) <= 0.02 * (len(reported.accepted) + len(reported.refused))


class SharedBoards:
    """States of the members of one process: each has its number."""

    def __init__(self, cells: list[float], member: int) -> None:
        self._cells, self._member = cells, member

    def of(self, service: str) -> SharedThrottleState:
        return SharedThrottleState(self._cells, self._member)

    def close(self) -> None:
        pass


class Members:
    """Processes that send to one service, each with half of the slots; their limiters share a state."""

    def __init__(self, service: TokenBucket) -> None:
        self.service = service
        self.reported: list[Reported] = []
        self._cells = [0.0] * CELLS

    async def run(self, seconds: float, start: float = 0.0) -> None:
        member, reported = len(self.reported), Reported()
        self.reported.append(reported)
        await asyncio.sleep(start)
        limiter = Limiter(None, 32, now, lambda: 0.5, SharedBoards(self._cells, member))
        await call_for(seconds, limiter, self.service, reported)
        limiter.release_idle()

    def accepted(self, since: float, until: float) -> list[int]:
        return [sum(since <= at < until for at in reported.accepted) for reported in self.reported]

    @property
    def refused(self) -> int:
        return sum(len(reported.refused) for reported in self.reported)


@pytest.mark.parametrize("starts", [(0.0, 0.0), (0.0, 0.03), (0.0, 0.7), (0.0, 2.0), (0.0, 0.2, 0.4, 20.0)])
def test_processes_of_a_host_share_what_they_learn_in_equal_parts(starts: tuple[float, ...]) -> None:
    members = Members(TokenBucket(50.0, 50.0, 0.05))

    async def main() -> None:
        await asyncio.gather(*(members.run(60 - start, start) for start in starts))

    run(main())
    assert sum(members.accepted(5, 60)) >= 0.95 * 55 * 50
    assert members.refused <= 0.015 * sum(members.accepted(0, 60))
    parts = members.accepted(30, 60)
    assert max(parts) <= 1.2 * min(parts)


def test_a_process_that_ends_leaves_its_part_to_the_others() -> None:
    members = Members(TokenBucket(50.0, 50.0, 0.05))

    async def main() -> None:
        await asyncio.gather(members.run(20), members.run(40))

    run(main())
    assert members.accepted(22, 40)[1] >= 0.9 * 18 * 50
    assert members.refused <= 0.02 * sum(members.accepted(0, 40))


def test_a_task_that_follows_another_goes_on_with_its_rate() -> None:
    members = Members(TokenBucket(50.0, 50.0, 0.05))

    async def main() -> None:
        await members.run(20)
        await members.run(20)

    run(main())
    first = members.reported[1].accepted[0]
    assert members.accepted(first, first + 5)[1] >= 0.9 * 5 * 50
    assert len(members.reported[1].refused) <= 0.01 * len(members.reported[1].accepted)


def test_a_service_that_spaces_its_calls_is_used_well(tmp_path: Path) -> None:
    reported, service = Reported(), TokenBucket(50.0, 1.0, 0.05)
    simulate(tmp_path, lambda limiter: call_for(120, limiter, service, reported))
    assert sum(60 <= at < 120 for at in reported.accepted) >= 0.7 * 60 * 50
    assert len(reported.refused) <= 0.02 * (len(reported.accepted) + len(reported.refused))


def test_a_pace_grows_again_when_the_service_bears_more(tmp_path: Path) -> None:
    reported, service = Reported(), TokenBucket(20.0, 20.0, 0.05)

    async def scene(limiter: Limiter) -> None:
        await call_for(20, limiter, service, reported)
        service.rate = service.burst = 200.0
        await call_for(100, limiter, service, reported)

    simulate(tmp_path, scene)
    assert sum(100 <= at < 110 for at in reported.accepted) >= 0.9 * 10 * 200


rows = itertools.count()


def open_window(ceiling: int = 64) -> AdaptiveThrottle:
    return AdaptiveThrottle(ceiling, lambda: 0.5, PrivateThrottleStates().of("s"))


def width(throttle: AdaptiveThrottle, at: float) -> int:
    """How many calls it lets out at once."""
    while throttle.opens_at(at) == at:
        throttle.sent(at)
    calls = throttle.in_flight
    for _ in range(calls):
        throttle.ended()
    return calls


def fill(throttle: AdaptiveThrottle, at: float) -> tuple[int, float]:
    """How many calls it lets out in the end with none answered, and when it is full."""
    calls = 0
    while (opens_at := throttle.opens_at(at)) is not None:
        at = opens_at
        throttle.sent(at)
        calls += 1
    for _ in range(calls):
        throttle.ended()
    return calls, at


def test_a_burst_of_429s_cuts_it_once_and_successes_open_it_again() -> None:
    throttle = open_window(10)
    assert width(throttle, 0.0) == 8
    assert width(throttle, 0.5) == 10
    numbers = [throttle.sent(0.0) for _ in range(10)]
    for at, number in zip((1.0, 1.1, 1.2), numbers[-3:], strict=True):
        throttle.throttled(at, 0.0, number, 0.0)
        throttle.ended()
    for _ in range(7):
        throttle.ended()
    calls, at = fill(throttle, 2.0)
    assert calls == 4  # it starts again from there, faster up to 0.7 of what was in flight
    for _ in range(6):
        throttle.succeeded()
    calls, at = fill(throttle, at)
    assert calls == 6
    throttle.succeeded()
    calls, at = fill(throttle, at)
    assert calls == 6
    for _ in range(30):
        throttle.succeeded()
    assert fill(throttle, at)[0] == 10


def test_after_a_first_burst_it_searches_for_the_rate_from_a_trickle_on() -> None:
    throttle = open_window(1000)
    throttle.sent(0.0)
    throttle.throttled(0.0, 0.0, 1, 1.0)
    throttle.ended()
    at, sent_at = 1.0, []
    for _ in range(200):
        at = throttle.opens_at(at) or at
        throttle.sent(at)
        throttle.succeeded()
        throttle.ended()
        sent_at.append(at)
    assert sum(at < 1.1 for at in sent_at) <= 3
    assert sum(at < 1.2 for at in sent_at) >= 5
    assert sent_at[-1] < 1.7


def test_one_call_is_always_allowed() -> None:
    throttle = open_window(2)
    for at in range(10):
        number = throttle.sent(at + 0.0)
        throttle.throttled(at + 0.5, at + 0.0, number, 0.0)
        throttle.ended()
    assert width(throttle, 100.0) >= 1


def fail(throttle: AdaptiveThrottle, at: float, calls: int) -> list[bool]:
    """Calls of several rows fail together; says of each whether it counts."""
    for _ in range(calls):
        throttle.sent(at)
    counted = [throttle.failed(at, at, next(rows)) for _ in range(calls)]
    for _ in range(calls):
        throttle.ended()
    return counted


def test_a_service_that_answered_and_fails_call_after_call_is_probed_by_single_calls() -> None:
    throttle = open_window()
    throttle.succeeded()
    assert fail(throttle, 1.0, 64) == [True] * 8 + [False] * 56
    probes, at = 0, 1.0
    while at < 21.0:
        at = throttle.opens_at(at) or at
        assert width(throttle, at) == 1
        assert fail(throttle, at, 1) == [False]
        probes += 1
    assert probes <= 10
    at = throttle.opens_at(at) or at
    throttle.sent(at)
    throttle.succeeded()
    throttle.ended()
    assert width(throttle, at) == 4
    assert fail(throttle, at, 1) == [True]


def test_a_service_that_never_answered_is_not_waited_for() -> None:
    assert all(fail(open_window(), 1.0, 200))


def test_failures_among_successes_count() -> None:
    throttle = open_window()
    for at in range(100):
        throttle.succeeded()
        assert fail(throttle, at + 0.0, 4) == [True] * 4


def test_one_row_that_fails_again_and_again_is_no_outage() -> None:
    throttle = open_window()
    throttle.succeeded()
    row = next(rows)
    for at in range(100):
        throttle.sent(at + 0.0)
        assert throttle.failed(at + 0.0, at + 0.0, row)
        throttle.ended()
