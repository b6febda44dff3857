"""Token counts, by the o200k vocabulary for every model."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import Any

from gateway_batch.devgateway.ask import Ask

PER_TURN = 4
PER_IMAGE = 255


@cache
def _encoding() -> Any:
    """Imported when first needed: the import itself reads every vocabulary, with a deprecated function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

    return bpe_openai.get_encoding("o200k_base")


@lru_cache(maxsize=4096)
def count_tokens(text: str) -> int:
    """How many tokens a text is."""
    return len(_encoding().encode_ordinary(text))


def input_tokens(ask: Ask) -> int:
    """Tokens of all turns, their roles and their images."""
    spoken = sum(count_tokens(turn.text) + PER_TURN for turn in ask.turns)
    return spoken + ask.images * PER_IMAGE


def cut(text: str, tokens: int) -> str:
    """The first so many tokens of a text, without a torn character at the end."""
    encoding = _encoding()
    kept: bytes = encoding.decode_bytes(encoding.encode_ordinary(text)[:tokens])
    return kept.decode(errors="ignore")
