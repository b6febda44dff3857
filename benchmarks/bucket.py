"""A token bucket, as gateways limit requests."""

from __future__ import annotations

import math


class TokenBucket:
    """Lets `rate` requests a second through, and `burst` at once after a pause.

    Attributes:
        passed: requests let through, by the second since the first request.
        refused: requests not let through, likewise.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self.reset()

    def reset(self) -> None:
        """Full again; the next request is the first."""
        self._tokens = self._burst
        self._at = self._first = -1.0
        self.passed: list[int] = []
        self.refused: list[int] = []

    def take(self, now: float) -> int:
        """One request at `now`, in seconds: 0 lets it through, else the whole seconds after which one will be."""
        if self._first < 0:
            self._first = self._at = now
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        second = int(now - self._first)
        for counts in (self.passed, self.refused):
            counts.extend([0] * (second + 1 - len(counts)))
        if self._tokens >= 1:
            self._tokens -= 1
            self.passed[second] += 1
            return 0
        self.refused[second] += 1
        return math.ceil((1 - self._tokens) / self._rate)
