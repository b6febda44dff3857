"""What requests take: their number, their tokens, their price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Amount:
    """Requests, with the tokens of all of them and their price in US dollars; of estimates, parts of one too."""

    requests: float = 0
    tokens: float = 0
    cost_usd: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.requests + other.requests, self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.requests - other.requests, self.tokens - other.tokens, self.cost_usd - other.cost_usd)

    def times(self, factor: float) -> Amount:
        """So many times as much."""
        return Amount(self.requests * factor, self.tokens * factor, self.cost_usd * factor)

    @classmethod
    def most(cls, one: Self, other: Self) -> Self:
        """The larger of each."""
        return cls(max(one.requests, other.requests), max(one.tokens, other.tokens), max(one.cost_usd, other.cost_usd))

    @classmethod
    def least(cls, one: Self, other: Self) -> Self:
        """The smaller of each."""
        return cls(min(one.requests, other.requests), min(one.tokens, other.tokens), min(one.cost_usd, other.cost_usd))


NOTHING = Amount()
ONE_REQUEST = Amount(1)
