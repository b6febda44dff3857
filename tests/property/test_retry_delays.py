from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import CallError, ErrorKind

SECONDS = st.floats(0, 1e6)
POLICIES = st.builds(
    RetryPolicy, attempts=st.integers(1, 100), base_s=st.floats(0.001, 60), cap_s=st.floats(0.001, 600)
)
ERRORS = st.builds(
    lambda kind, wait: CallError(kind, "x", retry_after_s=wait),
    st.sampled_from(sorted(ErrorKind)),
    st.none() | SECONDS,
)
CHANCES = st.floats(0, 1, exclude_max=True)


@given(POLICIES, ERRORS, st.integers(1, 100), CHANCES, st.floats(-10, 1e6))
def test_a_delay_is_in_bounds_not_early_and_not_late(
    policy: RetryPolicy, error: CallError, tried: int, rng: float, left_s: float
) -> None:
    delay = policy.delay_s(tried, error, rng, left_s)
    asked = error.retry_after_s or 0.0
    follows = CONSEQUENCES[error.kind]
    if not follows.is_waited_out and (tried >= policy.attempts or not follows.is_retried):
        assert delay is None
    elif delay is None:
        assert asked + policy.cap_s >= left_s
    else:
        assert asked <= delay <= asked + policy.cap_s
        assert delay < left_s


@given(POLICIES, CHANCES)
def test_a_call_is_tried_as_often_as_the_policy_says(policy: RetryPolicy, rng: float) -> None:
    error, tried = CallError(ErrorKind.SERVER, "x"), 1
    while policy.delay_s(tried, error, rng, 1e9) is not None:
        tried += 1
    assert tried == policy.attempts
