from __future__ import annotations

import pytest

from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import CallError, ErrorKind

AGAIN = ["connect", "disconnect", "timeout", "conflict", "server", "not_json"]
POLICY = RetryPolicy(attempts=4, base_s=1.0, cap_s=8.0)


def error(kind: str = "server", retry_after_s: float | None = None) -> CallError:
    return CallError(ErrorKind(kind), "x", retry_after_s=retry_after_s)


@pytest.mark.parametrize("kind", AGAIN)
def test_a_passing_failure_is_tried_again(kind: str) -> None:
    assert POLICY.delay_s(1, error(kind), 0.5, 100) == 0.5


@pytest.mark.parametrize("kind", sorted({kind.value for kind in ErrorKind} - set(AGAIN)))
def test_a_lasting_failure_and_a_429_are_not_tried_again(kind: str) -> None:
    assert POLICY.delay_s(1, error(kind), 0.5, 100) is None


def test_the_bound_of_the_delay_doubles_up_to_its_cap() -> None:
    patient = RetryPolicy(attempts=9, base_s=1.0, cap_s=8.0)
    delays = [patient.delay_s(tried, error(), 0.5, 1000) for tried in range(1, 7)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_last_attempt_is_the_last() -> None:
    assert POLICY.delay_s(3, error(), 0.5, 100) is not None
    assert POLICY.delay_s(4, error(), 0.5, 100) is None


def test_the_server_is_never_asked_earlier_than_it_said() -> None:
    assert POLICY.delay_s(1, error(retry_after_s=20.0), 0.0, 100) == 20.0


def test_a_delay_that_would_reach_the_deadline_is_not_waited_for() -> None:
    assert POLICY.delay_s(1, error(retry_after_s=20.0), 0.0, 20.0) is None
    assert POLICY.delay_s(1, error(), 0.5, 0.5) is None
    assert POLICY.delay_s(1, error(), 0.5, -1.0) is None
