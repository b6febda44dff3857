"""Token counts of texts, by the o200k vocabulary for every model: other models' own differ by some percent."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import Any

PER_MESSAGE = 4
"""Tokens that a message takes on top of its text."""
PER_IMAGE = 255


@cache
def encoding() -> Any:
    """Imported when first needed: the import itself reads every vocabulary, with a deprecated function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

    return bpe_openai.get_encoding("o200k_base")


@lru_cache(maxsize=4096)
def count_tokens(text: str) -> int:
    """How many tokens a text is."""
    return len(encoding().encode_ordinary(text))
