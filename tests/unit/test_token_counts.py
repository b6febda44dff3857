"""Tokens of texts of any length."""

from __future__ import annotations

import pytest

from gateway_batch.devgateway.models.tokens import cut
from gateway_batch.pricing.token_counts import count_tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("word", 1), ("ab " * 400_000, 400_000), ("\u00e9" * 10**6, 10**6)]
)
def test_a_text_of_any_length_is_counted(text: str, tokens: int) -> None:
    assert tokens <= count_tokens(text) <= tokens * 1.001 + 1


def test_a_long_text_is_cut_at_a_token() -> None:
    text = "\u00e9" * 300_000
    assert cut(text, 250_000) == text[:250_000]


def test_a_text_without_words_is_counted() -> None:
    assert count_tokens("a" * 10**6) == 125_000
    assert count_tokens("\ud800" * 30_000) > 0
