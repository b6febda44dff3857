"""How long one row is tried: what its attempts met, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.engine.retry import LONGER_TIMEOUT, RetryPolicy, pause_after_429_s
from gateway_batch.errors import CallError, ErrorKind

_REFUSED_ALONE = 10
"""So often a row alone is answered 429, while the service answers others, before it fails."""
_SURELY_ALONE = 5


class Held(Protocol):
    """The slot of an attempt that failed."""

    service_is_down: bool
    refused_alone: bool

    def held_s(self) -> float:
        """Seconds since the attempt was let out."""
        ...


class RowPatience:
    """The attempts of one row.

    Args:
        policy: how often, and with what delays.
        timeout_s: of the first attempt.
        rng: in [0, 1), for jitter.

    Attributes:
        timeout_s: of the next attempt.
        throttled: attempts that were answered 429.
    """

    def __init__(self, policy: RetryPolicy, timeout_s: float, rng: Callable[[], float]) -> None:
        self.timeout_s = timeout_s
        self.throttled = 0
        self._policy = policy
        self._rng = rng
        self._refused_alone = self._failed = self._overloaded = self._late = 0

    def wait_s(self, failure: CallError, slot: Held, left_s: float) -> float | None:
        """Seconds until the row asks for a slot again; None: it fails.

        Args:
            failure: of its last attempt.
            slot: of that attempt.
            left_s: until its deadline.
        """
        if failure.kind is ErrorKind.RATE_LIMIT and failure.should_retry is not False:
            return self._after_429(failure, slot)
        if slot.service_is_down:
            return 0.0  # the next slot comes when it is back, or to probe it
        if failure.kind is ErrorKind.TIMEOUT and slot.held_s() > self.timeout_s / 2:
            self._late += 1
            self.timeout_s *= LONGER_TIMEOUT
            if self._late > 1 or left_s < self.timeout_s:  # it would take as long again, and be paid again
                return None
        if CONSEQUENCES[failure.kind].is_waited_out:
            self._overloaded += 1
            return self._policy.delay_s(self._overloaded, failure, self._rng(), left_s)
        self._failed += 1
        return self._policy.delay_s(self._failed, failure, self._rng(), left_s)

    def _after_429(self, failure: CallError, slot: Held) -> float | None:
        self.throttled += 1
        self._refused_alone += slot.refused_alone or self._refused_alone >= _SURELY_ALONE
        if self._refused_alone >= _REFUSED_ALONE:
            return None
        if not slot.refused_alone:
            return 0.0  # the next slot comes when the service wants it, or the deadline does
        return pause_after_429_s(self._refused_alone, failure.retry_after_s, self._rng())
