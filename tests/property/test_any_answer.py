"""Whatever a gateway answers is a result or a CallError: nothing else may end a partition."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway_batch.apis import API_TYPES, api_for, task_of
from gateway_batch.apis.reading import read_answer
from gateway_batch.apis.retry_hints import retry_after_s
from gateway_batch.errors import CallError
from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.types import HttpReply, InferenceResult, Task, TokenUsage

APIS = [api for api in API_TYPES if api not in ("openai/v1/chat/completions", "openai/v1/embeddings")]
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 404, 408, 429, 500, 503]) | st.integers(100, 599)
KEYS = (
    st.sampled_from(["choices", "message", "content", "text", "type", "refusal", "data", "embedding", "usage", "model"])
    | st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "cached_tokens"])
    | st.sampled_from(["completion_tokens_details", "reasoning_tokens", "error", "error_code", "detail"])
    | st.sampled_from(["databricks_service_policy", "action", "name", "reason", "finish_reason", "stop_reason"])
    | st.sampled_from(["output", "output_text", "status", "incomplete_details", "code", "input_tokens_details"])
    | st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"])
    | st.sampled_from(["candidates", "parts", "thought", "finishReason", "promptFeedback", "blockReason"])
    | st.sampled_from(["usageMetadata", "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"])
    | st.sampled_from(["details", "retryDelay", "predictions", "index"])
)
WORDS = st.sampled_from(
    ["text", "deny", "allow", "", "output_text", "refusal", "length", "max_tokens", "STOP", "SAFETY", "3.5s", "failed"]
) | st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | WORDS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
COUNTS = st.integers(0, 2**64 - 1) | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1]) | SCALARS
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNTS,
        "completion_tokens": COUNTS,
        "total_tokens": COUNTS,
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "cache_read_input_tokens": COUNTS,
        "cache_creation_input_tokens": COUNTS,
        "promptTokenCount": COUNTS,
        "candidatesTokenCount": COUNTS,
        "thoughtsTokenCount": COUNTS,
        "cost": COUNTS,
        "service_tier": COUNTS,
        "details": JSON,
    },
)
MORE = st.dictionaries(KEYS, JSON, max_size=2)
VECTOR = st.lists(SCALARS, max_size=4)
SHAPES = [
    lambda value, usage: {"choices": [{"message": {"content": value}}], "usage": usage},
    lambda value, usage: {"data": [{"embedding": value}], "usage": usage},
    lambda value, usage: {"output": [{"content": [{"type": "output_text", "text": value}, value]}], "usage": usage},
    lambda value, usage: {"content": [{"type": "text", "text": value}, value], "usage": usage},
    lambda value, usage: {"candidates": [{"content": {"parts": [{"text": value}, value]}}], "usageMetadata": usage},
    lambda value, usage: {"predictions": value, "usage": usage},
]
ANSWERS = st.builds(
    lambda shape, value, usage, more: {**shape(value, usage), **more},
    st.sampled_from(SHAPES),
    JSON | VECTOR,
    USAGES | JSON,
    MORE,
)
BODIES = st.binary(max_size=60) | (JSON | ANSWERS).map(orjson.dumps)
HINTS = st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining-requests"])
TIMES = st.text("0123456789 smh.eE+-:,GMTJanMon", max_size=30) | st.sampled_from(
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999",
        "9" * 400 + "s",
    ]
)
HEADERS = st.dictionaries(HINTS | st.sampled_from(["content-type", "x-request-id"]), TIMES | st.text(max_size=20))


def check_counts(usage: TokenUsage) -> None:
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cache_read_tokens,
        usage.cache_creation_tokens,
        usage.reasoning_tokens,
    )
    assert all(count is None or 0 <= count <= MOST_TOKENS for count in counts)
    assert usage.other is None or 0 < len(usage.other) <= 32
    for path, number in (usage.other or {}).items():
        assert 0 < len(path) <= 128
        float(number)


def is_a_value(api: str, value: Any) -> bool:
    """Whether a value is what the API's task promises."""
    match task_of(api):
        case Task.CHAT:
            return isinstance(value, str)
        case Task.EMBEDDINGS:
            return bool(value) and all(isinstance(number, float | int) for vector in value for number in vector)
    return bool(orjson.loads(orjson.dumps(value)) == value)


@pytest.mark.parametrize("examples", [200, pytest.param(800, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("api", APIS)
def test_any_answer_is_a_result_or_a_call_error(api: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(status=STATUSES, headers=HEADERS, body=BODIES)
    def check(status: int, headers: dict[str, str], body: bytes) -> None:
        outcome: InferenceResult | CallError
        try:
            outcome = read_answer(api_for(api), HttpReply(status, headers, body, 1.8e9))
        except CallError as error:
            outcome = error
        if isinstance(outcome, CallError):
            assert outcome.status == status
            assert len(str(outcome)) < 2_000
        else:
            assert 200 <= status < 300
            assert is_a_value(api, outcome.value)
            check_counts(outcome.usage)

    check()


BODY_OF: dict[str, dict[str, Any]] = {
    "mlflow/v1/chat/completions": {"choices": [{"message": {"content": "x"}}]},
    "mlflow/v1/responses": {"output_text": "x"},
    "openai/v1/responses": {"output": [{"content": [{"type": "output_text", "text": "x"}]}]},
    "anthropic/v1/messages": {"content": [{"type": "text", "text": "x"}]},
    "gemini/v1/generateContent": {"candidates": [{"content": {"parts": [{"text": "x"}]}}]},
    "mlflow/v1/embeddings": {"data": [{"embedding": [0.5]}]},
    "mlflow/v1/invocations": {"predictions": [0.5]},
}
COUNTED = ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens"]
COUNTED += ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"]
MOST = dict.fromkeys(COUNTED, MOST_TOKENS)


@settings(max_examples=300, deadline=None)
@given(usage=USAGES)
@example(usage=dict.fromkeys(COUNTED, 2**64 - 1))
@example(usage=MOST)
@example(usage={**MOST, "completion_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 1})
def test_any_token_count_fits_the_usage_table(usage: dict[str, Any]) -> None:
    for api in APIS:
        body = {**BODY_OF[api], "usage": usage, "usageMetadata": usage}
        check_counts(api_for(api).parse(HttpReply(200, {}, orjson.dumps(body))).usage)


@settings(max_examples=800, deadline=None)
@given(headers=HEADERS, now=st.floats(0, 4e9))
def test_any_waiting_hint_is_a_finite_time_or_none(headers: dict[str, str], now: float) -> None:
    wait = retry_after_s(headers, now)
    assert wait is None or (wait >= 0 and math.isfinite(wait))
