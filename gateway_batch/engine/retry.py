"""When to try a failed call again: a decision, not a loop."""

from __future__ import annotations

from dataclasses import dataclass

from gateway_batch.errors import CallError, ErrorKind

# 429 is not here: it says that all calls are too many, so it goes to the limiter. An answer that is not the API's is
# not here either: it was paid for, and the next is likely the same.
RETRYABLE = frozenset(
    {
        ErrorKind.CONNECT,
        ErrorKind.DISCONNECT,
        ErrorKind.TIMEOUT,
        ErrorKind.CONFLICT,
        ErrorKind.SERVER,
        ErrorKind.NOT_JSON,
    }
)

# What a service that is down answers with, or not at all.
OF_THE_SERVICE = frozenset({ErrorKind.CONNECT, ErrorKind.DISCONNECT, ErrorKind.TIMEOUT, ErrorKind.SERVER})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full-jitter exponential backoff. Pure: jitter is an argument, sleeping is the client's.

    Attributes:
        attempts: in all, the first included.
        base_s: upper bound of the first delay.
        cap_s: upper bound of any delay.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0

    def delay_s(self, tried: int, error: CallError, jitter: float, left_s: float) -> float | None:
        """Seconds until the next try, or None to give up.

        Args:
            tried: attempts made so far.
            error: how the last one failed.
            jitter: in [0, 1).
            left_s: seconds until the row's deadline; no delay reaches it.
        """
        if tried >= self.attempts or error.kind not in RETRYABLE:
            return None
        delay = jitter * min(self.base_s * 2.0 ** (tried - 1), self.cap_s)
        if error.retry_after_s is not None:  # never earlier than asked
            delay += error.retry_after_s
        return delay if delay < left_s else None
