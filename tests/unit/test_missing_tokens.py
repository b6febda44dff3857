from __future__ import annotations

from typing import Any

import pytest

from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.types import NO_USAGE, AnyRequest, EmbeddingRequest, InferenceRequest, RecordRequest, TokenUsage
from gateway_batch.usage.missing_tokens import fill_missing_tokens, tokens_of

PROMPT = InferenceRequest("x" * 40, instructions="y" * 19)  # 59 characters: 15 tokens


@pytest.mark.parametrize(("length", "tokens"), [(0, 0), (2, 0), (3, 1), (6, 1), (7, 2), (400, 100)])
def test_a_text_has_a_quarter_of_its_characters_and_one_more(length: int, tokens: int) -> None:
    assert tokens_of(length) == tokens


@pytest.mark.parametrize(
    ("call", "answer", "counts"),
    [
        (PROMPT, "z" * 11, (15, 3, 18)),
        (InferenceRequest("日本語"), "é" * 7, (1, 2, 3)),
        (EmbeddingRequest(("x" * 20, "y" * 15)), [[0.5], [0.25]], (9, 0, 9)),
    ],
)
def test_nothing_reported_is_estimated_of_the_texts(
    call: AnyRequest, answer: Any, counts: tuple[int, int, int]
) -> None:
    assert fill_missing_tokens(NO_USAGE, call, answer) == (*counts, "estimated")


@pytest.mark.parametrize(
    ("reported", "counts"),
    [
        (TokenUsage(input_tokens=11), (11, 3, 14)),
        (TokenUsage(output_tokens=5), (15, 5, 20)),
        (TokenUsage(total_tokens=99), (15, 3, 99)),
        (TokenUsage(input_tokens=11, total_tokens=9), (11, 3, 9)),  # they contradict each other, and stay
    ],
)
def test_what_is_reported_stays(reported: TokenUsage, counts: tuple[int, int, int]) -> None:
    assert fill_missing_tokens(reported, PROMPT, "z" * 11) == (*counts, "estimated")


@pytest.mark.parametrize(
    "reported", [TokenUsage(input_tokens=11, total_tokens=15), TokenUsage(output_tokens=4, total_tokens=15)]
)
def test_what_the_others_give_is_no_estimate(reported: TokenUsage) -> None:
    assert fill_missing_tokens(reported, PROMPT, "z" * 400) == (11, 4, 15, "provider")


def test_a_custom_model_has_no_tokens() -> None:
    record = RecordRequest({"age": 41, "plan": "a long text"})
    assert fill_missing_tokens(NO_USAGE, record, "a long text") == (None, None, None, None)
    assert fill_missing_tokens(TokenUsage(total_tokens=7), record, 0.5) == (None, None, 7, "provider")


def test_a_sum_that_no_request_can_have_is_none() -> None:
    usage = TokenUsage(input_tokens=MOST_TOKENS)
    assert fill_missing_tokens(usage, PROMPT, "z" * 11) == (MOST_TOKENS, 3, None, "estimated")
