"""Requests and tokens per minute: a token bucket of each, per service."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self

from gateway_batch.devgateway.refusals import Refusal


@dataclass(slots=True)
class Bucket:
    """A bucket that holds a minute's worth and refills evenly. May go below zero: tokens are booked afterwards."""

    per_minute: int
    level: float
    filled_at: float

    @classmethod
    def full(cls, per_minute: int, now: float) -> Self:
        """A bucket nobody has used yet."""
        return cls(per_minute, per_minute, now)

    def refill(self, now: float) -> None:
        """Adds what has flowed in since last time."""
        gained = (now - self.filled_at) * self.per_minute / 60
        self.level = min(self.per_minute, self.level + gained)
        self.filled_at = now

    def wait_s(self, needed: float) -> float:
        """Seconds until `needed` are there; 0 if they are."""
        return max(0.0, (needed - self.level) * 60 / self.per_minute)


@dataclass(slots=True)
class Meter:
    """The limits of one service. `now` is a monotonic clock's, in seconds."""

    rpm: int | None
    tpm: int | None
    now: float
    _requests: Bucket | None = field(init=False)
    _tokens: Bucket | None = field(init=False)

    def __post_init__(self) -> None:
        self._requests = Bucket.full(self.rpm, self.now) if self.rpm else None
        self._tokens = Bucket.full(self.tpm, self.now) if self.tpm else None

    def admit(self, service: str, now: float) -> dict[str, str]:
        """Takes one request and returns the headers that say how many are left.

        Raises:
            Refusal: 429, with the seconds to wait.
        """
        if self._tokens:
            self._tokens.refill(now)
            if self._tokens.level <= 0:
                self._refuse(service, "tokens", self._tokens.wait_s(1))
        if self._requests:
            self._requests.refill(now)
            if self._requests.level < 1:
                self._refuse(service, "requests", self._requests.wait_s(1))
            self._requests.level -= 1
        return self.headers()

    def book(self, tokens: int) -> None:
        """Takes an answer's tokens, once they are known; calls under way at the same time may all pass."""
        if self._tokens:
            self._tokens.level -= tokens

    def headers(self) -> dict[str, str]:
        """The rate-limit headers; none without a limit."""
        headers = {}
        if self._requests:
            headers["x-ratelimit-limit-requests"] = str(self.rpm)
            headers["x-ratelimit-remaining-requests"] = str(max(0, math.floor(self._requests.level)))
            headers["x-ratelimit-reset-requests"] = f"{self._requests.wait_s(self._requests.per_minute):.3f}s"
        if self._tokens:
            headers["x-ratelimit-limit-tokens"] = str(self.tpm)
        return headers

    def _refuse(self, service: str, what: str, wait_s: float) -> None:
        limit = self.rpm if what == "requests" else self.tpm
        headers = self.headers() | {
            "retry-after": str(max(1, math.ceil(wait_s))),
            "x-databricks-quota-name": f"{service}-{what}-per-minute",
        }
        raise Refusal(429, f"Exceeded {what} per minute of {service}: the limit is {limit}.", headers=headers)
