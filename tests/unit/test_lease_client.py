"""Limiters that share a lease state, in virtual time: what they send together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway_batch.admission import LeaseClient, Limiter, Limits, Size
from gateway_batch.admission.lease_client import LeaseStoreRefusedError, LeaseStoreUnreachableError
from gateway_batch.admission.lease_stores import MemoryLeaseStore
from gateway_batch.admission.leases import Lease, LeaseRequest
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import Price, TokenUsage

from .virtual_time import now, run


class Store:
    """A store of this process that can be out of reach, or lose what it knew."""

    def __init__(self) -> None:
        self._store = MemoryLeaseStore(now)
        self.reachable = True
        self.fails_with: Exception | None = None
        self.asks = 0

    async def exchange(self, request: LeaseRequest) -> Lease:
        await asyncio.sleep(0.002)
        if not self.reachable:
            raise LeaseStoreUnreachableError("it is away")
        self.asks += 1
        if self.fails_with is not None:
            raise self.fails_with
        return self._store.exchange("limits", request)

    async def close(self) -> None:
        pass

    def lose(self) -> None:
        self._store = MemoryLeaseStore(now)


@dataclass
class Traffic:
    """When calls were sent, and how many at once."""

    sent: list[float] = field(default_factory=list)
    in_flight: int = 0
    most: int = 0
    tokens: int = 0
    errors: list[CallError] = field(default_factory=list)


def limiters(store: Store, limits: Limits, count: int) -> list[Limiter]:
    made = []
    for _ in range(count):
        limiter = Limiter(None, limits.concurrency or 64, now, lambda: 0.5)
        limiter.join(LeaseClient(limits, "b", store, now, limiter.look))
        made.append(limiter)
    return made


async def work(
    limiter: Limiter, calls: int, traffic: Traffic, takes_s: float = 0.05, tokens: int = 100, lanes: int = 64
) -> None:
    """Calls, some at a time."""
    left = iter(range(calls))
    usage = TokenUsage(tokens // 2, tokens - tokens // 2, tokens)

    async def lane() -> None:
        for _ in left:
            size = Size(400, 100, Price(10.0, 10.0)) if limiter.counts_tokens else None
            try:
                async with limiter.slot("s", now() + 3600, size) as slot:
                    traffic.sent.append(now())
                    traffic.in_flight += 1
                    traffic.most = max(traffic.most, traffic.in_flight)
                    await asyncio.sleep(takes_s)
                    traffic.in_flight -= 1
                    traffic.tokens += tokens
                    slot.used(usage)
                    slot.succeeded()
            except CallError as error:
                traffic.errors.append(error)

    await asyncio.gather(*(lane() for _ in range(lanes)))


def play(scene: Callable[[Store], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await scene(Store())

    return run(main())


async def close(made: list[Limiter]) -> None:
    for limiter in made:
        await limiter.close()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_together_keep_to_the_concurrency_and_use_it(count: int) -> None:
    async def scene(store: Store) -> tuple[Traffic, float]:
        traffic, made = Traffic(), limiters(store, Limits(concurrency=10), count)
        await asyncio.gather(*(work(limiter, 2000 // count, traffic) for limiter in made))
        took = now()
        await close(made)
        return traffic, took

    traffic, took = play(scene)
    assert len(traffic.sent) == 2000
    assert traffic.most <= 10
    assert took <= 1.15 * 2000 * 0.05 / 10


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("per_minute", [30, 3000])
def test_requests_per_minute_hold_and_are_used(count: int, per_minute: int) -> None:
    async def scene(store: Store) -> Traffic:
        traffic, made = Traffic(), limiters(store, Limits(64, requests_per_minute=per_minute), count)
        tasks = [asyncio.create_task(work(limiter, 10_000, traffic)) for limiter in made]
        await asyncio.sleep(150)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await close(made)
        return traffic

    sent = play(scene).sent
    for start in range(0, 90, 5):
        assert 0.9 * per_minute - 1 <= sum(start <= at < start + 60 for at in sent) <= per_minute
    assert max(sum(second <= at < second + 1 for at in sent) for second in range(150)) <= per_minute / 60 * 1.6 + 1


def test_max_requests_is_exact_and_the_rest_is_refused() -> None:
    async def scene(store: Store) -> Traffic:
        traffic, made = Traffic(), limiters(store, Limits(64, max_requests=500), 3)
        await asyncio.gather(*(work(limiter, 400, traffic) for limiter in made))
        await close(made)
        return traffic

    traffic = play(scene)
    assert len(traffic.sent) == 500
    assert len(traffic.errors) == 700
    assert {error.kind for error in traffic.errors} == {ErrorKind.BUDGET}
    assert "max_requests is 500, and 500 requests were sent" in str(traffic.errors[0])


@pytest.mark.parametrize(
    ("limits", "each"),
    [(Limits(8, max_total_tokens=50_000), 50_000 / 100), (Limits(8, max_cost_usd=0.5), 0.5 / (100 * 10 / 1e6))],
)
def test_tokens_and_dollars_stop_within_what_is_in_flight(limits: Limits, each: float) -> None:
    async def scene(store: Store) -> Traffic:
        traffic, made = Traffic(), limiters(store, limits, 2)
        await asyncio.gather(*(work(limiter, 2000, traffic) for limiter in made))
        await close(made)
        return traffic

    traffic = play(scene)
    assert each <= len(traffic.sent) <= each + 8
    assert len(traffic.sent) + len(traffic.errors) == 4000


def test_without_its_store_nothing_is_sent_for_long_and_then_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(store: Store) -> Traffic:
        traffic, made = Traffic(), limiters(store, Limits(8, requests_per_minute=6000), 2)
        tasks = [asyncio.create_task(work(limiter, 1500, traffic)) for limiter in made]
        await asyncio.sleep(5)
        store.reachable = False
        await asyncio.sleep(20)
        store.lose()
        store.reachable = True
        await asyncio.gather(*tasks)
        await close(made)
        return traffic

    with caplog.at_level(logging.WARNING):
        traffic = play(scene)
    assert len(traffic.sent) == 3000
    assert traffic.most <= 8
    assert not any(10.3 < at < 25 for at in traffic.sent)
    for start in range(0, 60, 2):
        assert sum(start <= at < start + 60 for at in traffic.sent) <= 6000
    assert [record.message for record in caplog.records if "nothing more is sent" in record.message]


REFUSALS = [
    (LeaseStoreRefusedError("its value x is no state of this version"), "its value x is no state of this version"),
    (TypeError("prompt"), "their store failed with TypeError"),
]


@pytest.mark.parametrize(("failure", "cause"), REFUSALS, ids=["refused", "failed"])
def test_a_store_that_refuses_fails_the_rows_soon_and_says_why(
    failure: Exception, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(store: Store) -> tuple[Traffic, float]:
        store.fails_with = failure
        traffic, made = Traffic(), limiters(store, Limits(8, requests_per_minute=6000), 1)
        await work(made[0], 500, traffic)
        took = now()
        await close(made)
        return traffic, took

    traffic, took = play(scene)
    assert took < 15
    assert not traffic.sent
    assert {error.kind for error in traffic.errors} == {ErrorKind.BUDGET}
    assert all(cause in str(error) for error in traffic.errors)
    assert [record.levelname for record in caplog.records] == ["WARNING"], caplog.text
    assert cause in caplog.text
    assert "prompt" not in caplog.text


def test_a_store_that_refused_for_a_while_is_used_again() -> None:
    async def scene(store: Store) -> Traffic:
        traffic, made = Traffic(), limiters(store, Limits(8, requests_per_minute=6000), 1)
        store.fails_with = LeaseStoreRefusedError("READONLY")
        early = asyncio.create_task(work(made[0], 100, traffic))
        await asyncio.sleep(5)
        store.fails_with = None
        await early
        store.fails_with = LeaseStoreRefusedError("READONLY")
        await asyncio.sleep(60)
        await work(made[0], 50, traffic)
        store.fails_with = None
        await asyncio.sleep(5)
        await work(made[0], 100, traffic)
        await close(made)
        return traffic

    traffic = play(scene)
    assert len(traffic.sent) == 200
    assert len(traffic.errors) == 50


def test_a_row_that_waited_in_vain_says_that_the_store_is_away() -> None:
    async def scene(store: Store) -> str:
        store.reachable = False
        (limiter,) = limiters(store, Limits(8, requests_per_minute=6000), 1)
        with pytest.raises(CallError) as caught:
            async with limiter.slot("s", now() + 30):
                raise AssertionError
        assert now() < 31
        await limiter.close()
        assert caught.value.kind is ErrorKind.DEADLINE
        return str(caught.value)

    assert "wait for its turn: the limits can't be asked for: it is away" in play(scene)


def test_an_idle_member_gives_all_back_and_asks_no_more() -> None:
    async def scene(store: Store) -> tuple[int, int, int]:
        one, other = limiters(store, Limits(4, max_requests=100), 2)
        traffic = Traffic()
        await work(one, 10, traffic)
        await asyncio.sleep(2)
        asks = store.asks
        await asyncio.sleep(60)
        idle = store.asks - asks
        await work(other, 95, traffic)
        await close([one, other])
        return idle, len(traffic.sent), len(traffic.errors)

    assert play(scene) == (0, 100, 5)


def test_cancelled_waiters_leave_nothing_behind() -> None:
    async def scene(store: Store) -> int:
        (limiter,) = limiters(store, Limits(4, requests_per_minute=600), 1)
        traffic = Traffic()
        task = asyncio.create_task(work(limiter, 1000, traffic, takes_s=5))
        await asyncio.sleep(3.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        traffic.in_flight = traffic.most = 0
        await work(limiter, 40, traffic)
        await limiter.close()
        return traffic.most

    assert play(scene) == 4
