"""When to try a failed call again: a decision, not a loop."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.errors import CallError

_FIRST_AFTER_429_S, _LONGEST_AFTER_429_S = 0.1, 60.0
_DOUBLINGS = 16

LONGER_TIMEOUT = 2.0
"""An attempt after one that got no answer in time may take so many times as long."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full-jitter exponential backoff. Pure: jitter is an argument, sleeping is the client's.

    Attributes:
        attempts: in all, the first included; those that are waited out are not counted.
        base_s: upper bound of the first delay.
        cap_s: upper bound of any delay.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0

    def delay_s(self, tried: int, error: CallError, jitter: float, left_s: float) -> float | None:
        """Seconds until the next try, or None to give up.

        Args:
            tried: attempts made so far that ended this way.
            error: how the last one failed.
            jitter: in [0, 1).
            left_s: seconds until the row's deadline; no delay reaches it.
        """
        consequence = CONSEQUENCES[error.kind]
        is_retried = consequence.is_retried if error.should_retry is None else error.should_retry
        if not consequence.is_waited_out and (tried >= self.attempts or not is_retried):
            return None
        if error.should_retry is False:
            return None
        delay = jitter * min(self.base_s * 2.0 ** min(tried - 1, _DOUBLINGS), self.cap_s)
        if error.retry_after_s is not None:  # never earlier than asked
            delay += error.retry_after_s
        return delay if delay < left_s else None


def pause_after_429_s(tried: int, asked_s: float | None, jitter: float) -> float:
    """Seconds that a row waits after its `tried`th 429, where the service still serves others; it may ask for less."""
    longest_s = _LONGEST_AFTER_429_S if asked_s is None else asked_s
    return min(longest_s, _FIRST_AFTER_429_S * 2.0 ** min(tried - 1, _DOUBLINGS) * (0.5 + jitter))
