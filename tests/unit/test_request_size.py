"""What requests are expected to take, learned from answers."""

from __future__ import annotations

from gateway_batch.admission.request_size import Estimator, Size
from gateway_batch.types import TokenUsage

SIZE = Size(400, None, None)


def answered(output: int, input_tokens: int = 100) -> TokenUsage:
    return TokenUsage(input_tokens, output, input_tokens + output)


def test_it_learns_from_answers() -> None:
    estimator = Estimator()
    assert estimator.estimate(SIZE).tokens == 100 + 256
    estimator.settle(SIZE, answered(1_000))
    assert estimator.estimate(SIZE).tokens == 100 + 1_000
    for _ in range(50):
        estimator.settle(SIZE, answered(20_000, 200))
    assert 20_000 < estimator.estimate(SIZE).tokens <= 20_200


def test_one_odd_answer_teaches_little() -> None:
    estimator = Estimator()
    for _ in range(50):
        estimator.settle(SIZE, answered(50))
    estimator.settle(SIZE, answered(10**8, 10**8))
    assert estimator.estimate(SIZE).tokens < 2 * (100 + 50)


def test_the_first_answer_may_be_odd_too() -> None:
    estimator = Estimator()
    estimator.settle(SIZE, answered(10**8, 10**8))
    assert estimator.estimate(SIZE).tokens < 2_500
