"""Extrapolation from a sample: unbiased, and its interval holds the truth as often as it says."""

from __future__ import annotations

import random

import pytest

from gateway_batch.spark.estimates.extrapolation import Interval, student, total_of_rest


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (198, 1.972)],
)
def test_student_s_quantiles(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=0.011)


def test_a_straight_line_is_known_exactly() -> None:
    sizes = [10.0, 20.0, 30.0, 40.0, 50.0]
    found = total_of_rest(sizes, [2 * size + 1 for size in sizes], rest=100, rest_size=100_000)
    assert found.middle == pytest.approx(200_100)
    assert found.high - found.low == pytest.approx(0, abs=1e-6)


def test_equal_sizes_give_the_mean() -> None:
    found = total_of_rest([7.0] * 4, [1.0, 2.0, 3.0, 2.0], rest=10, rest_size=70)
    assert found.middle == pytest.approx(20)
    assert found.low < 20 < found.high


def test_nothing_left_is_nothing() -> None:
    assert total_of_rest([1.0], [1.0], 0, 0.0).plus(5) == Interval(5.0, 5.0, 5.0)


def test_one_request_says_little() -> None:
    found = total_of_rest([5.0], [2.0], rest=3, rest_size=15)
    assert (found.middle, found.low, found.high) == (6.0, 0.0, float("inf"))


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_the_interval_holds_the_truth_as_often_as_it_says(slope: float) -> None:
    """1,000 samples of 50 from 2,000 requests of long-tailed sizes: 95% of 1,000 is 950, with a deviation of 7."""
    rng = random.Random(4)
    sizes = [rng.lognormvariate(4, 0.8) for _ in range(2_000)]
    values = [slope * size + rng.expovariate(1 / 40) for size in sizes]
    held, middles = 0, []
    for _ in range(1_000):
        sample = rng.sample(range(2_000), 50)
        chosen = set(sample)
        rest = [place for place in range(2_000) if place not in chosen]
        truth = sum(values[place] for place in rest)
        found = total_of_rest(
            [sizes[place] for place in sample],
            [values[place] for place in sample],
            len(rest),
            sum(sizes[place] for place in rest),
        )
        held += found.low <= truth <= found.high
        middles.append(found.middle / truth)
    assert held >= 910
    assert sum(middles) / len(middles) == pytest.approx(1, abs=0.02)
