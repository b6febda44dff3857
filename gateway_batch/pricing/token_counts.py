"""Token counts of texts, by the o200k vocabulary for every model: other models' own differ by some percent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

PER_MESSAGE = 4
"""Tokens that a message takes on top of its text."""
PER_IMAGE = 255

_LONGEST_PIECE = 20_000


@cache
def encoding(vocabulary: str = "o200k_base") -> Any:
    """Imported when first needed: the import itself reads every vocabulary, with a deprecated function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

    return bpe_openai.get_encoding(vocabulary)


def count_tokens(text: str) -> int:
    """How many tokens a text is; of a long one a token or two too many for each 20,000 characters."""
    return _count_short(text) if len(text) <= _LONGEST_PIECE else sum(map(len, encode(text)))


def encode(text: str) -> Iterator[list[int]]:
    """A text's tokens, in pieces: the encoder refuses a text with more than some 200,000 tokens."""
    for start in range(0, len(text), _LONGEST_PIECE):
        yield encoding().encode_ordinary(text[start : start + _LONGEST_PIECE])


@lru_cache(maxsize=4096)
def _count_short(text: str) -> int:
    return sum(map(len, encode(text)))
