"""From a sample of requests to all of them: a straight line over their input tokens, and how sure it is. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure that is not known yet: its likeliest value, and between which it is with 95% confidence."""

    middle: float
    low: float
    high: float

    def plus(self, known: float) -> Interval:
        """The interval with what is known added."""
        return Interval(self.middle + known, self.low + known, self.high + known)


def total_of_rest(sizes: Sequence[float], values: Sequence[float], rest: int, rest_size: float) -> Interval:
    """The sum of a value over the requests that are not in a sample.

    The value is taken to be `a + b * size` and something that is left over, which has no tendency: so the sizes of the
    rest, which are known, carry what they can. Where the sizes say nothing it is the sample's mean.

    Args:
        sizes: of the sample's requests, in tokens.
        values: theirs, such as cost; at least one.
        rest: how many requests are left.
        rest_size: the sum of their sizes.
    """
    count, size, value = len(values), fmean(sizes), fmean(values)
    spread = sum((each - size) ** 2 for each in sizes)
    products = sum((x - size) * (y - value) for x, y in zip(sizes, values, strict=True))
    slope = products / spread if spread and count > 3 else 0.0
    if rest == 0:
        return Interval(0.0, 0.0, 0.0)
    distance = rest_size / rest - size
    middle = rest * (value + slope * distance)
    freedom = count - (2 if slope else 1)
    if freedom < 1:
        return Interval(middle, 0.0, math.inf)
    left_over = sum((y - value - slope * (x - size)) ** 2 for x, y in zip(sizes, values, strict=True)) / freedom
    leverage = 1 / count + (distance**2 / spread if slope else 0.0)
    width = student(freedom) * math.sqrt(left_over * (rest**2 * leverage + rest))
    return Interval(middle, max(0.0, middle - width), middle + width)


def student(freedom: int) -> float:
    """The two-sided quantile of Student's t at `CONFIDENCE`, by its expansion around the normal one.

    Within 1% from 3 degrees of freedom on (Abramowitz and Stegun, 26.7.5); below it is wider than the true one's.
    """
    exact = {1: 12.706, 2: 4.303}
    if freedom in exact:
        return exact[freedom]
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
