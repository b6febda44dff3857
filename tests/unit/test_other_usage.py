"""Numbers of an answer's usage block that no column has, and the service tier."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from gateway_batch.apis import api_for
from gateway_batch.errors import RejectedError
from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.types import HttpReply, InferenceResult, TokenUsage
from gateway_batch.usage.attempts import note_reply, note_result
from gateway_batch.usage.segment import Kind, encode

from .samples import record, reply

CHAT = api_for("mlflow/v1/chat/completions")
COUNTS = '"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15'


def read(body: str) -> TokenUsage:
    return CHAT.parse(HttpReply(200, {}, body.encode())).usage


def answer(usage: str, more: str = "") -> str:
    return f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {{{COUNTS}, {usage}}}{more}}}'


def others(**usage: Any) -> dict[str, str] | None:
    found = read(answer(json.dumps(usage)[1:-1])).other
    return None if found is None else dict(found)


def test_an_ordinary_answer_has_none() -> None:
    usage = read(answer('"completion_tokens_details": {"reasoning_tokens": 2}, "prompt_tokens_details": null'))
    assert (usage.other, usage.service_tier, usage.reasoning_tokens) == (None, None, 2)


def test_numbers_without_a_column_are_kept_by_their_path() -> None:
    found = others(
        audio_tokens=0,
        server_tool_use={"web_search_requests": 2, "of": [{"n": 1}, {"n": -3}]},
        prompt_tokens_details={"cached_tokens": 8, "image_tokens": 5},
    )
    assert found == {
        "audio_tokens": "0",
        "server_tool_use.web_search_requests": "2",
        "server_tool_use.of.0.n": "1",
        "server_tool_use.of.1.n": "-3",
        "prompt_tokens_details.image_tokens": "5",
    }


@pytest.mark.parametrize("number", [MOST_TOKENS + 1, 2**63 - 1, 2**63, 10**30, 1e300, -1, 2.5])
def test_a_count_that_no_request_can_have_is_kept_here_and_counted_nowhere(number: float) -> None:
    flat = read(answer("").replace('"prompt_tokens": 11', f'"prompt_tokens": {number}').replace(", }", "}"))
    assert (flat.input_tokens, flat.output_tokens, flat.total_tokens) == (None, 4, 15)
    assert flat.other is not None
    assert float(flat.other["prompt_tokens"]) == float(number)
    nested = read(answer(f'"prompt_tokens_details": {{"cached_tokens": {number}}}'))
    assert (nested.input_tokens, nested.cache_read_tokens) == (11, None)
    assert nested.other is not None
    assert float(nested.other["prompt_tokens_details.cached_tokens"]) == float(number)


def test_only_numbers_are_kept() -> None:
    assert others(prompt="the prompt", echoed={"prompt": "the prompt"}, flag=True, nothing=None, empty={}) is None
    assert others(**{"the prompt": 1, 'a"b': 2, "é": 3, "": 4, "a\nb": 5}) is None


@pytest.mark.parametrize(
    "written", ["0.00012300", "1E-7", "1.0", "0.1234567890123456789012", "36893488147419103232", "-1.50e+2"]
)
def test_a_number_is_kept_as_it_is_written(written: str) -> None:
    echoed = ', "echo": "\\"usage\\": {\\"cost\\": 9.5}", "usage_of_all": {"usage": {"cost": 9.5, "n": 7}}'
    found = read(answer(f'"n": 7, "cost": {written}', more=echoed)).other
    assert found == {"n": "7", "cost": written}


def test_where_a_member_of_that_name_is_not_found_again_the_number_is_as_python_writes_it() -> None:
    found = read(answer('"cost": 0.50').replace('"usage"', '"us\\u0061ge"')).other
    assert found == {"cost": "0.5"}


def test_many_long_and_deep_ones_are_left_out() -> None:
    few = others(**{f"n{number}": number for number in range(100)})
    assert few == {f"n{number}": str(number) for number in range(32)}
    assert others(**{"k" * 128: 1, "l" * 129: 2}) == {"k" * 128: "1"}
    deep: dict[str, Any] = {"n": 1}
    for _ in range(900):
        deep = {"d": deep}
    assert others(deep=deep, n=2) == {"n": "2"}
    long_ones = read(answer(f'"n": {"1" * 41}.5, "m": 0.5')).other
    assert long_ones == {"m": "0.5"}


@pytest.mark.parametrize(
    ("more", "tier"),
    [
        (', "service_tier": "priority"', "priority"),
        (', "service_tier": "the prompt"', None),
        (', "service_tier": ""', None),
        (f', "service_tier": "{"x" * 65}"', None),
        (', "service_tier": 5', None),
        ("", "standard_only-2"),
    ],
)
def test_the_service_tier_is_a_short_word(more: str, tier: str | None) -> None:
    inner = '"service_tier": "standard_only-2"' if not more else '"n": 1'
    assert read(answer(inner, more)).service_tier == tier


def test_a_refused_call_has_them_too() -> None:
    body = answer('"cost": 0.25', ', "databricks_service_policy": {"action": "deny"}')
    with pytest.raises(RejectedError) as caught:
        read(body)
    assert caught.value.paid is not None
    assert caught.value.paid.usage.other == {"cost": "0.25"}


def test_they_are_in_the_row_and_change_no_other() -> None:
    one, other = record("a"), record("b")
    note_result(one, InferenceResult("x", TokenUsage(1, 2, 3, service_tier="flex", other={"cost": "0.10"})))
    rows = [orjson.loads(encode(Kind.OUTCOME, row)[11:]) for row in (one, other)]
    assert rows[0]["invocation_metadata"] == {"source": "AI_QUERY", "service_tier": "flex"}
    assert rows[0]["client_metadata"]["other_usage"] == {"cost": "0.10"}
    assert rows[1]["invocation_metadata"]["service_tier"] is None
    assert "other_usage" not in rows[1]["client_metadata"]


def test_the_largest_outcome_fits_the_room_set_aside_for_it() -> None:
    intent = record("e")
    before = len(encode(Kind.INTENT, intent))
    usage = {f"{'k' * 124}{number:04}": 10**18 + number for number in range(40)}
    counted = ("prompt_tokens", "completion_tokens", "total_tokens")
    cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
    body = {
        "model": "\x01" * 5_000,
        "service_tier": "t" * 64,
        "choices": [{"message": {"content": "x"}}],
        "usage": {
            **dict.fromkeys(counted, MOST_TOKENS),
            **usage,
            **dict.fromkeys(cached, MOST_TOKENS),
        },
    }
    answered = reply(200, body, x_request_id='"' * 5_000, content_type="ÿ" * 5_000)
    note_reply(intent, answered, 10**9)
    note_result(intent, CHAT.parse(answered))
    assert len(encode(Kind.OUTCOME, intent)) - before < 8 << 10
