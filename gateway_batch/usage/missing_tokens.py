"""Token counts of answers that report none, estimated as Databricks does."""

from __future__ import annotations

from typing import Any

from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.types import AnyRequest, EmbeddingRequest, InferenceRequest, TokenUsage

PROVIDER = "provider"
ESTIMATED = "estimated"

Counts = tuple[int | None, int | None, int | None, str | None]
"""Input, output and total tokens, and where they are from: None where none are known."""


def tokens_of(length: int) -> int:
    """Tokens of a text, by its length in characters (Databricks docs, *Track model usage*: `(text_length + 1) / 4`)."""
    return (length + 1) // 4


def fill_missing_tokens(reported: TokenUsage, call: AnyRequest, answer: Any) -> Counts:
    """What an answer reported, and estimates of what it did not.

    A count that the two others give is worked out of them. Pictures and model parameters have no text, and a vector
    has none: they count as nothing. Custom models have no tokens: nothing is estimated for them.

    Args:
        reported: stays as it is.
        call: whose text was read.
        answer: its value; a text was written, anything else was not.
    """
    input_tokens, output_tokens, total = reported.input_tokens, reported.output_tokens, reported.total_tokens
    length = _length(call)
    if length is None:
        return input_tokens, output_tokens, total, None if total is None else PROVIDER
    rest = (
        -1
        if total is None or (input_tokens is None) == (output_tokens is None)
        else total - (input_tokens or output_tokens or 0)
    )
    if rest >= 0:
        return (rest, output_tokens, total, PROVIDER) if input_tokens is None else (input_tokens, rest, total, PROVIDER)
    source = PROVIDER
    if input_tokens is None:
        input_tokens, source = tokens_of(length), ESTIMATED
    if output_tokens is None:
        output_tokens, source = tokens_of(len(answer)) if isinstance(answer, str) else 0, ESTIMATED
    if total is None and input_tokens + output_tokens <= MOST_TOKENS:
        total = input_tokens + output_tokens
    return input_tokens, output_tokens, total, source


def _length(call: AnyRequest) -> int | None:
    match call:
        case InferenceRequest():
            return len(call.text) + len(call.instructions or "")
        case EmbeddingRequest():
            return sum(map(len, call.texts))
    return None
