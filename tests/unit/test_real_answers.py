"""What the adapters read from each real answer of the corpus (`gateway_batch/devgateway/real_answers/*.toml`)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from gateway_batch.apis import api_for
from gateway_batch.apis.endings import CUT_OFF, WITHHELD
from gateway_batch.apis.reading import read_answer
from gateway_batch.devgateway.real_answers import (
    ANSWER_MARKER,
    FORMATS,
    PROMPT_MARKER,
    RealAnswer,
    real_answer,
    real_answers,
)
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import HttpReply, InferenceResult

NOW = 1_792_580_000.0  # Wed, 21 Oct 2026 10:53:20 GMT, which the dates in the headers are to be read against
EVERY = list(real_answers().values())
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read(answer: RealAnswer) -> InferenceResult | CallError:
    reply = HttpReply(answer.status, dict(answer.headers), answer.body.encode(), NOW)
    try:
        return read_answer(api_for(answer.api), reply, prompts=lambda: [PROMPT_MARKER])
    except CallError as error:
        return error


def is_sent_again(error: CallError) -> bool:
    """Whether a row is sent again, as the executor decides it: a 429 is the limiter's, other failures the policy's."""
    if error.kind is ErrorKind.RATE_LIMIT:
        return error.should_retry is not False
    return RetryPolicy().delay_s(1, error, 0.5, math.inf) is not None


def same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) or (isinstance(wanted, float) and math.isnan(wanted) and math.isnan(value))


@pytest.mark.parametrize("answer", EVERY, ids=lambda answer: answer.name)
def test_a_real_answer_is_read_as_what_it_means(answer: RealAnswer) -> None:
    found = read(answer)
    if isinstance(found, CallError):
        said, paid = str(found), found.paid or InferenceResult("")
        assert found.kind.value == answer.kind, said
        assert found.retry_after_s == answer.retry_after_s
        assert found.status == answer.status
        assert is_sent_again(found) is answer.retried
        assert [words for words in answer.message_has if words not in said] == [], said
        assert len(said) < 2_000
        for marker in (PROMPT_MARKER, ANSWER_MARKER):
            assert marker not in f"{said} {found!r} {paid!r}"
    else:
        paid = found
        assert answer.kind is None, f"read as a result: {found}"
        assert same(found.value, answer.value if answer.text is None else answer.text)
    assert paid.finish_reason == answer.finish_reason
    usage = paid.usage
    assert (usage.input_tokens, usage.output_tokens) == (answer.input_tokens, answer.output_tokens)
    assert (usage.reasoning_tokens, usage.cache_read_tokens) == (answer.reasoning_tokens, answer.cache_read_tokens)


def test_answers_that_were_cut_off_or_withheld_are_known_by_their_finish_reasons() -> None:
    reasons = {answer.name: (answer.finish_reason or "").lower() for answer in EVERY}
    cut = {name: reason for name, reason in reasons.items() if "-cut-" in name or "window-full" in name}
    assert set(cut.values()) <= CUT_OFF
    assert len(cut) >= 9
    withheld = {reasons[answer.name] for answer in EVERY if answer.kind == "policy" and answer.finish_reason}
    assert withheld - WITHHELD == {"stop", "completed", "failed"}, "what refuses in other words is known by its kind"
    assert {name for name, reason in reasons.items() if reason in CUT_OFF} == cut.keys()


def test_the_entries_are_whole() -> None:
    for answer in EVERY:
        assert _NAME.fullmatch(answer.name)
        assert answer.source, answer.name
        assert all(name == name.lower() for name in answer.headers), answer.name
        assert answer.kind is None or (answer.text, answer.value) == (None, None), answer.name
        assert answer.kind or (answer.message_has, answer.retry_after_s, answer.retried) == ((), None, False)
        if answer.headers.get("content-type", "").startswith("application/json"):
            json.loads(answer.body)  # not orjson: MLflow writes NaN


def test_each_format_has_results_and_errors() -> None:
    for api in FORMATS.values():
        kinds = {answer.kind for answer in EVERY if answer.api == api}
        assert None in kinds
        assert len(kinds) > 5


def test_a_name_that_is_not_there_is_one_error_that_says_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no real answer 'openai-rate-limt'; near it: openai-rate-limit"):
        real_answer("openai-rate-limt")
