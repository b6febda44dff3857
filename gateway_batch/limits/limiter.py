"""Who may send now: a slot of the host, and a window per service that answers 429 narrow."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.limits.host_slots import HostSlots

_CUT = 0.7
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_LOOK_AGAIN_S = 0.02


@dataclass(slots=True)
class _Waiter:
    granted: asyncio.Future[None]
    deadline: float


@dataclass(slots=True)
class _Window:
    """Calls in flight at one service: starts wide open, is cut once per burst of 429s, grows with each success."""

    limit: float
    in_flight: int = 0
    closed_until: float = 0.0
    cut_at: float = float("-inf")
    bursts: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)


class Limiter:
    """Grants slots in the order asked, per service. Belongs to one event loop.

    Args:
        slots: what all processes of the host share.
        ceiling: calls in flight at most, the same number as `slots` has.
        clock: monotonic seconds, the loop's own.
        chance: in [0, 1), for the jitter of pauses.
    """

    def __init__(self, slots: HostSlots, ceiling: int, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._slots = slots
        self._ceiling = ceiling
        self._clock = clock
        self._chance = chance
        self._windows: dict[str, _Window] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def slot(self, service: str, deadline: float) -> AsyncIterator[None]:
        """Holds a slot for one attempt.

        Raises:
            UnreachableError: of kind `deadline`, if none came free by then.
        """
        window = self._windows.get(service) or self._open(service)
        if deadline <= max(self._clock(), window.closed_until):
            raise _too_late()
        if window.waiting or not self._take(window):
            await self._wait(window, deadline)
        try:
            yield
        finally:
            window.in_flight -= 1
            self._slots.give()
            self._grant()
            self._look_later()

    def succeeded(self, service: str) -> None:
        """A call was answered with a result."""
        window = self._windows[service]
        window.bursts = 0
        window.limit = min(self._ceiling, window.limit + 1 / window.limit)

    def throttled(self, service: str, sent_at: float, retry_after_s: float | None) -> None:
        """A 429 arrived for a call sent at `sent_at`: close the window as long as asked, and cut it once a burst."""
        window, now = self._windows[service], self._clock()
        if sent_at >= window.cut_at:
            window.cut_at = now
            window.bursts += 1
            window.limit = max(1.0, min(window.limit, window.in_flight) * _CUT)
        if retry_after_s is None:
            retry_after_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(window.bursts - 1, 10)) * (
                0.5 + self._chance()
            )
        window.closed_until = max(window.closed_until, now + retry_after_s)

    def leave(self) -> None:
        """Gives idle slots back to the other processes."""
        self._slots.leave()

    def close(self) -> None:
        """Gives all slots back."""
        if self._timer is not None:
            self._timer.cancel()
        self._slots.close()

    def _open(self, service: str) -> _Window:
        window = self._windows[service] = _Window(float(self._ceiling))
        return window

    def _take(self, window: _Window) -> bool:
        free = window.in_flight < int(window.limit) and window.closed_until <= self._clock()
        if not (free and self._slots.take()):
            return False
        window.in_flight += 1
        return True

    async def _wait(self, window: _Window, deadline: float) -> None:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), deadline)
        window.waiting.append(waiter)
        self._look_later()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and waiter.granted.exception() is None:
                window.in_flight -= 1
                self._slots.give()
            raise

    def _grant(self) -> None:
        """Hands free slots to those who wait, and refuses those whose time is over."""
        now = self._clock()
        for window in self._windows.values():
            waiting = window.waiting
            while waiting:
                waiter = waiting[0]
                if waiter.granted.done():
                    waiting.popleft()
                elif waiter.deadline <= now:
                    waiting.popleft()
                    waiter.granted.set_exception(_too_late())
                elif self._take(window):
                    waiting.popleft()
                    waiter.granted.set_result(None)
                else:
                    break

    def _look_later(self) -> None:
        """Slots come free in other processes too, and closed windows open by themselves."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        self._timer = None
        self._refuse_the_late()
        self._grant()
        if any(window.waiting for window in self._windows.values()):
            self._look_later()
        elif not any(window.in_flight for window in self._windows.values()):
            self._slots.leave()

    def _refuse_the_late(self) -> None:
        now = self._clock()
        for window in self._windows.values():
            for waiter in window.waiting:
                if waiter.deadline <= now and not waiter.granted.done():
                    waiter.granted.set_exception(_too_late())


def _too_late() -> UnreachableError:
    return UnreachableError(ErrorKind.DEADLINE, "the row's deadline passed while it waited for its turn")
