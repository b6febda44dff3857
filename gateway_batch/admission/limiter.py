"""Admission control: concurrency slot, rate and budget lease, per-service throttle."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from gateway_batch.admission.amount import NOTHING, ONE_REQUEST, Amount
from gateway_batch.admission.lease_client import LeaseClient
from gateway_batch.admission.request_size import Estimator, Size
from gateway_batch.admission.shared_throttle import PrivateThrottleStates, ThrottleStates
from gateway_batch.admission.throttle_after_429 import AdaptiveThrottle
from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.types import TokenUsage

_LOOK_AGAIN_S = 0.02


class Slots(Protocol):
    """Requests in flight at once, shared with other processes."""

    def take(self) -> bool:
        """Takes a slot for a call; False if there is none to have now."""
        ...

    def give(self) -> None:
        """Gives a call's slot back."""
        ...

    def release_idle(self) -> None:
        """Gives idle slots back to the other processes."""
        ...

    def close(self) -> None:
        """Gives everything back."""
        ...


@dataclass(slots=True)
class _Waiter:
    granted: asyncio.Future[int]
    deadline: float
    need: Amount


@dataclass(slots=True)
class _Service:
    """What is known of a service, and who waits for it."""

    throttle: AdaptiveThrottle
    estimator: Estimator = field(default_factory=Estimator)
    waiting: deque[_Waiter] = field(default_factory=deque)


class Limiter:
    """Grants slots in the order asked, per service. Belongs to one event loop.

    Args:
        slots: what all processes of the host share; None where leases grant slots too.
        ceiling: calls in flight at most.
        clock: monotonic seconds, the loop's own.
        rng: in [0, 1), for the jitter of pauses.
        states: of the services' throttles, shared between processes; None shares nothing.

    Attributes:
        counts_tokens: whether it wants the size of each request.
    """

    def __init__(
        self,
        slots: Slots | None,
        ceiling: int,
        clock: Callable[[], float],
        rng: Callable[[], float],
        states: ThrottleStates | None = None,
    ) -> None:
        self.counts_tokens = False
        self._slots = slots
        self._lease_client: LeaseClient | None = None
        self._ceiling = ceiling
        self._clock = clock
        self._rng = rng
        self._states = states or PrivateThrottleStates()
        self._services: dict[str, _Service] = {}
        self._waiting = 0
        self._waiting_need = NOTHING
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0

    def join(self, lease_client: LeaseClient) -> None:
        """From now on a slot needs a lease on the limits that all tasks share, too."""
        self._lease_client = lease_client
        self.counts_tokens = lease_client.limits.counts_tokens

    def slot(self, service: str, deadline: float, size: Size | None = None) -> Slot:
        """A slot for one attempt, to be held with `async with`.

        Args:
            service: names it; each has a throttle of its own.
            deadline: by the clock.
            size: of the request, where `counts_tokens`.
        """
        known = self._services.get(service)
        if known is None:
            known = self._services[service] = _Service(
                AdaptiveThrottle(self._ceiling, self._rng, self._states.of(service))
            )
        return Slot(self, known, deadline, size)

    def look(self) -> None:
        """Hands out what came free, as when a lease was granted."""
        self._grant()

    def release_idle(self) -> None:
        """Gives what is idle back to the other processes."""
        now = self._clock()
        for service in self._services.values():
            if not service.throttle.in_flight:
                service.throttle.leave(now)
        if self._slots is not None:
            self._slots.release_idle()
        if self._lease_client is not None:
            self._lease_client.release()

    async def close(self) -> None:
        """Gives everything back."""
        if self._timer is not None:
            self._timer.cancel()
        if self._slots is not None:
            self._slots.close()
        if self._lease_client is not None:
            await self._lease_client.close()
        self._states.close()

    async def _acquire(self, service: _Service, deadline: float, need: Amount) -> int:
        """The number of the call at its service, once it may go out."""
        if self._lease_client is not None and (refusal := self._lease_client.refusal) is not None:
            raise refusal
        now = self._clock()
        opens_at = service.throttle.opens_at(now)
        if deadline <= (now if opens_at is None else opens_at):
            raise self._too_late(service)
        number = 0 if service.waiting or opens_at != now else self._take(service, need, now)
        if not number:
            look_at = now + _LOOK_AGAIN_S
            if opens_at is not None and now < opens_at < look_at:
                look_at = opens_at
            number = await self._wait(service, deadline, need, look_at)
            if service.throttle.closed_until > self._clock():  # a 429 came between the grant and this turn of the loop
                self._release(service, need, NOTHING)
                return await self._acquire(service, deadline, need)
        return number

    def _release(self, service: _Service, need: Amount, used: Amount) -> None:
        service.throttle.ended()
        if self._slots is not None:
            self._slots.give()
        if self._lease_client is not None:
            self._lease_client.give(need, used)
        if self._waiting:
            self._grant()
        elif self._timer is None:
            self._look_by(self._clock() + _LOOK_AGAIN_S)

    def _take(self, service: _Service, need: Amount, now: float) -> int:
        """The number of a call that the throttle lets out now; 0 if it has to wait for a slot or a lease."""
        if self._slots is not None and not self._slots.take():
            return 0
        if self._lease_client is not None and not self._lease_client.take(need):
            if self._slots is not None:
                self._slots.give()
            return 0
        return service.throttle.sent(now)

    async def _wait(self, service: _Service, deadline: float, need: Amount, look_at: float) -> int:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), deadline, need)
        service.waiting.append(waiter)
        self._count_waiting(1, need)
        self._look_by(look_at)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self._release(service, need, NOTHING)
            raise

    def _count_waiting(self, more: int, need: Amount) -> None:
        self._waiting += more
        if self._lease_client is not None:
            self._waiting_need += need.times(more)
            self._lease_client.wait(
                self._waiting, self._waiting_need.times(1 / self._waiting) if self._waiting else need
            )

    def _grant(self) -> None:
        """Hands free slots to those who wait, and refuses those whose time is over, or all once the budget is spent.

        It is to be called again soon, as slots come free in other processes too, and throttles open by themselves.
        """
        now = self._clock()
        again_at = now + _LOOK_AGAIN_S
        refusal = None if self._lease_client is None else self._lease_client.refusal
        for service in self._services.values():
            waiting = service.waiting
            while waiting:
                waiter = waiting[0]
                if waiter.granted.done():
                    self._drop_first(waiting)
                elif refusal is not None or waiter.deadline <= now:
                    waiter.granted.set_exception(refusal or self._too_late(service))
                    self._drop_first(waiting)
                elif (opens_at := service.throttle.opens_at(now)) == now and (
                    number := self._take(service, waiter.need, now)
                ):
                    waiter.granted.set_result(number)
                    self._drop_first(waiting)
                else:
                    if opens_at is not None and opens_at > now:
                        again_at = min(again_at, opens_at)
                    break
        if self._waiting:
            self._look_by(again_at)

    def _drop_first(self, waiting: deque[_Waiter]) -> None:
        self._count_waiting(-1, waiting.popleft().need)

    def _look_by(self, at: float) -> None:
        if self._timer is None or at < self._look_at - 0.001:
            if self._timer is not None:
                self._timer.cancel()
            self._look_at = at
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._clock()), self._look)

    def _look(self) -> None:
        self._timer = None
        self._refuse_the_late()
        self._grant()
        in_use = self._waiting or any(service.throttle.in_flight for service in self._services.values())
        if self._slots is not None and not in_use:
            self._slots.release_idle()

    def _refuse_the_late(self) -> None:
        now = self._clock()
        for service in self._services.values():
            for waiter in service.waiting:
                if waiter.deadline <= now and not waiter.granted.done():
                    waiter.granted.set_exception(self._too_late(service))

    def _too_late(self, service: _Service) -> UnreachableError:
        trouble = None if self._lease_client is None else self._lease_client.trouble
        why = trouble or service.throttle.why_closed(self._clock())
        waited = "the row has no time left to wait for its turn"
        return UnreachableError(ErrorKind.DEADLINE, f"{waited}: {why}" if why else waited)


class Slot:
    """Leave for one attempt, and what became of it. Entering it waits.

    Entering raises:
        UnreachableError: of kind `deadline`, if none came free by then.
        CallError: of kind `budget`, if nothing more may be sent.

    Attributes:
        service_is_down: the attempt failed as all do, so it is not the row's failure.
        refused_alone: it was answered 429, while the service lets other calls through.
    """

    __slots__ = (
        "_deadline",
        "_limiter",
        "_need",
        "_number",
        "_sent_at",
        "_service",
        "_size",
        "_used",
        "refused_alone",
        "service_is_down",
    )

    def __init__(self, limiter: Limiter, service: _Service, deadline: float, size: Size | None) -> None:
        self._limiter = limiter
        self._service = service
        self._deadline = deadline
        self._size = size
        self._need = self._used = ONE_REQUEST
        self._sent_at = 0.0
        self._number = 0
        self.service_is_down = self.refused_alone = False

    async def __aenter__(self) -> Self:
        if self._size is not None:
            self._need = self._service.estimator.estimate(self._size)
        self._number = await self._limiter._acquire(self._service, self._deadline, self._need)
        self._sent_at = self._limiter._clock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limiter._release(self._service, self._need, self._used)

    def held_s(self) -> float:
        """Seconds since the attempt was let out."""
        return self._limiter._clock() - self._sent_at

    def used(self, usage: TokenUsage) -> None:
        """The attempt took tokens, whatever its answer was."""
        if self._size is not None:
            self._used = self._service.estimator.settle(self._size, usage)

    def not_sent(self) -> None:
        """The attempt took nothing: it never left."""
        self._used = NOTHING

    def succeeded(self) -> None:
        """It was answered with a result."""
        self._service.throttle.succeeded()

    def throttled(self, retry_after_s: float | None) -> None:
        """It was answered 429."""
        self.refused_alone = not self._service.throttle.throttled(
            self._limiter._clock(), self._sent_at, self._number, retry_after_s
        )

    def failed(self, row: int, *, is_waited_out: bool = False) -> None:
        """It failed in a way that the service may be at fault for; `row` identifies the row of the attempt.

        Args:
            row: of the attempt.
            is_waited_out: the service says that it will answer later.
        """
        counts = self._service.throttle.failed(self._limiter._clock(), self._sent_at, row, is_waited_out=is_waited_out)
        self.service_is_down = not counts
