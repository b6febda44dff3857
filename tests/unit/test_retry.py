from __future__ import annotations

import pytest

from gateway_batch.engine.retry import RetryPolicy, pause_after_429_s
from gateway_batch.errors import CallError, ErrorKind

AGAIN = ["connect", "disconnect", "timeout", "conflict", "server", "not_json", "no_answer", "overloaded"]
POLICY = RetryPolicy(attempts=4, base_s=1.0, cap_s=8.0)


def error(kind: str = "server", retry_after_s: float | None = None) -> CallError:
    return CallError(ErrorKind(kind), "x", retry_after_s=retry_after_s)


@pytest.mark.parametrize("kind", AGAIN)
def test_a_passing_failure_is_tried_again(kind: str) -> None:
    assert POLICY.delay_s(1, error(kind), 0.5, 100) == 0.5


@pytest.mark.parametrize("kind", sorted({kind.value for kind in ErrorKind} - set(AGAIN)))
def test_a_lasting_failure_and_a_429_are_not_tried_again(kind: str) -> None:
    assert POLICY.delay_s(1, error(kind), 0.5, 100) is None


def test_overload_is_waited_out_and_others_are_tried_so_often() -> None:
    assert [POLICY.delay_s(tried, error("overloaded"), 0.5, 100) for tried in (4, 40)] == [4.0, 4.0]
    assert POLICY.delay_s(4, error("no_answer"), 0.5, 100) is None


@pytest.mark.parametrize(("kind", "says", "delay_s"), [("server", False, None), ("bad_request", True, 0.5)])
def test_what_the_server_says_of_another_try_counts(kind: str, says: bool, delay_s: float | None) -> None:
    failure = error(kind)
    failure.should_retry = says
    assert POLICY.delay_s(1, failure, 0.5, 100) == delay_s


def test_a_row_that_is_refused_alone_waits_longer_each_time_up_to_what_it_was_asked() -> None:
    assert [pause_after_429_s(tried, 1.0, 0.5) for tried in (1, 2, 3, 9)] == [0.1, 0.2, 0.4, 1.0]
    assert pause_after_429_s(99, None, 0.5) == 60.0


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
