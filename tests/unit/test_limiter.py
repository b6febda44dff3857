from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.admission import HostSlots, Limiter
from gateway_batch.errors import ErrorKind, UnreachableError

from .virtual_time import now, run

Play = Callable[[Limiter], Awaitable[Any]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Any]:
    """Plays a scene with a limiter in virtual time."""

    def play(scene: Play, ceiling: int = 4) -> Any:
        async def main() -> Any:
            loop = asyncio.get_running_loop()
            limiter = Limiter(HostSlots(tmp_path / "slots", ceiling), ceiling, loop.time, lambda: 0.5)
            try:
                return await scene(limiter)
            finally:
                await limiter.close()

        return run(main())

    return play


async def hold(limiter: Limiter, seconds: float, service: str = "s", deadline: float = 1e9) -> tuple[float, float]:
    """Holds a slot for a time; answers when it began and ended."""
    async with limiter.slot(service, deadline):
        began = now()
        await asyncio.sleep(seconds)
    return began, now()


async def most_at_once(limiter: Limiter, calls: int, service: str = "s") -> int:
    """How many of the calls are in flight at once."""
    spans = await asyncio.gather(*(hold(limiter, 1.0, service) for _ in range(calls)))
    return max(sum(began <= at < ended for began, ended in spans) for at, _ in spans)


async def throttle(limiter: Limiter, retry_after_s: float | None = None, service: str = "s") -> None:
    """One call that is answered 429."""
    async with limiter.slot(service, 1e9) as slot:
        slot.throttled(retry_after_s)


def test_as_many_as_the_ceiling_go_at_once(play: Any) -> None:
    assert play(lambda limiter: most_at_once(limiter, 20)) == 4


def test_slots_are_granted_in_the_order_asked(play: Any) -> None:
    async def scene(limiter: Limiter) -> list[float]:
        return [began for began, _ in await asyncio.gather(*(hold(limiter, 1.0) for _ in range(12)))]

    began = play(scene)
    assert began == sorted(began)


def test_two_services_share_the_ceiling(play: Any) -> None:
    async def scene(limiter: Limiter) -> int:
        calls = [hold(limiter, 1.0, service) for service in ("a", "b") for _ in range(6)]
        spans = await asyncio.gather(*calls)
        return max(sum(began <= at < ended for began, ended in spans) for at, _ in spans)

    assert play(scene) == 4


def test_a_failed_call_gives_its_slot_back(play: Any) -> None:
    async def scene(limiter: Limiter) -> int:
        for _ in range(9):
            with pytest.raises(ZeroDivisionError):
                async with limiter.slot("s", 1e9):
                    raise ZeroDivisionError
        return await most_at_once(limiter, 8)

    assert play(scene) == 4


def test_nothing_is_sent_while_the_server_asked_to_wait(play: Any) -> None:
    async def scene(limiter: Limiter) -> float:
        await throttle(limiter, 37.0)
        return (await hold(limiter, 0.0))[0]

    assert 37.0 <= play(scene) < 37.1


def test_the_longest_wait_asked_for_counts(play: Any) -> None:
    async def scene(limiter: Limiter) -> float:
        async with limiter.slot("s", 1e9) as one, limiter.slot("s", 1e9) as other:
            one.throttled(9.0)
            other.throttled(2.0)
        return (await hold(limiter, 0.0))[0]

    assert 9.0 <= play(scene) < 9.1


def test_another_service_goes_on(play: Any) -> None:
    async def scene(limiter: Limiter) -> float:
        await throttle(limiter, 37.0, service="a")
        return (await hold(limiter, 0.0, service="b"))[0]

    assert play(scene) == 0.0


def test_without_a_hint_the_pause_doubles_with_each_burst(play: Any) -> None:
    async def scene(limiter: Limiter) -> list[float]:
        refused_at = []
        for _ in range(10):
            await throttle(limiter)
            refused_at.append(now())
        return [round(later - sooner, 1) for sooner, later in itertools.pairwise(refused_at)]

    assert play(scene) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_an_answer_ends_the_doubling(play: Any) -> None:
    async def scene(limiter: Limiter) -> float:
        for _ in range(5):
            await throttle(limiter)
        async with limiter.slot("s", 1e9) as slot:
            slot.succeeded()
        before = now()
        await throttle(limiter)
        await hold(limiter, 0.0)
        return now() - before

    assert play(scene) == pytest.approx(0.5, abs=0.1)


def test_a_wait_that_outlasts_the_deadline_is_refused(play: Any) -> None:
    async def scene(limiter: Limiter) -> tuple[UnreachableError, float]:
        await throttle(limiter, 100.0)
        with pytest.raises(UnreachableError) as caught:
            await hold(limiter, 0.0, deadline=5.0)
        return caught.value, now()

    error, at = play(scene)
    assert error.kind is ErrorKind.DEADLINE
    assert at < 5.1


def test_a_short_deadline_is_kept_behind_a_longer_one(play: Any) -> None:
    async def scene(limiter: Limiter) -> float:
        await throttle(limiter, 100.0)
        patient = asyncio.create_task(hold(limiter, 0.0, deadline=1000.0))
        await asyncio.sleep(0)
        with pytest.raises(UnreachableError):
            await hold(limiter, 0.0, deadline=5.0)
        refused_at = now()
        await patient
        return refused_at

    assert play(scene) < 5.1


def test_no_slot_is_granted_past_the_deadline(play: Any) -> None:
    async def scene(limiter: Limiter) -> None:
        await asyncio.sleep(10.0)
        with pytest.raises(UnreachableError):
            await hold(limiter, 0.0, deadline=5.0)

    play(scene)


def test_a_cancelled_waiter_takes_no_slot(play: Any) -> None:
    async def scene(limiter: Limiter) -> int:
        holders = [asyncio.create_task(hold(limiter, 5.0)) for _ in range(4)]
        waiters = [asyncio.create_task(hold(limiter, 5.0)) for _ in range(9)]
        await asyncio.sleep(1.0)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*holders, *waiters, return_exceptions=True)
        return await most_at_once(limiter, 20)

    assert play(scene) == 4


def test_a_waiter_cancelled_as_it_is_granted_gives_the_slot_back(play: Any) -> None:
    async def scene(limiter: Limiter) -> int:
        first = limiter.slot("s", 1e9)
        await first.__aenter__()
        waiter = asyncio.create_task(hold(limiter, 5.0))
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)
        waiter.cancel()  # granted just now, and not run since
        with pytest.raises(asyncio.CancelledError):
            await waiter
        async with asyncio.timeout(60):
            return await most_at_once(limiter, 3)

    assert play(scene, ceiling=1) == 1


def test_a_service_that_refuses_for_days_does_not_break_the_limiter(play: Any) -> None:
    async def scene(limiter: Limiter) -> None:
        for _ in range(1100):
            await throttle(limiter, 0.0)
        await throttle(limiter, None)

    play(scene)
