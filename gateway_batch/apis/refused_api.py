"""Whether a refusal says that the model is asked by another API, in the words that vendors have for it."""

from __future__ import annotations

import re

_STATUSES = frozenset({400, 404, 405, 422})
_WANTS_RESPONSES = re.compile(
    r"\bonly (?:be )?(?:supported|available|used|accessible|works?)\b[^.]{0,40}?\bresponses\b"
    r"|\b(?:use|try|call|switch to)\b[^.]{0,30}?(?:\bv1/responses\b|\bresponses (?:api|endpoint)\b)"
    r"|\bdid you mean to use\b[^.]{0,30}?\bresponses\b",
    re.IGNORECASE,
)


def wants_responses(status: int | None, text: str) -> bool:
    """Whether a chat completion was refused as its model answers by OpenAI's Responses only.

    Args:
        status: of the answer.
        text: of the error, in which nothing of the prompt is: a row may say such words, too.
    """
    return status in _STATUSES and bool(_WANTS_RESPONSES.search(text))
