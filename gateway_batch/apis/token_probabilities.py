"""How probable the values in a JSON answer were, by the log-probabilities of the tokens that spell them. Pure."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from gateway_batch.apis.model_families import gives_logprobs
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.registry import api_for
from gateway_batch.types import Service

PARAMETER = "logprobs"
"""The model parameter by which chat completions are asked for them."""

_MOST_TOKENS = 50_000
"""More are not looked at: other rows wait meanwhile."""
_MOST_ENDING = 8
_LEAST = 1e6
_VALUE = re.compile(
    rb'"value"\s*:\s*(?:"(?P<text>(?:[^"\\]|\\.)*")|(?P<scalar>-?\d[\d.eE+-]*|true|false|null))', re.DOTALL
)


def service_gives_logprobs(service: Service) -> bool:
    """Whether a service may be asked: it speaks chat completions, and its model is of no family that has none."""
    return api_for(service.api).dialect is Dialect.CHAT and gives_logprobs(service.model)


def value_probabilities(answer: str, logprobs: Any) -> list[float] | None:
    """The probability of each member `value` that is a text, a number, a boolean or null, in the answer's order.

    Args:
        answer: JSON text.
        logprobs: a choice's `logprobs`, as chat completions have them; None: there are none.

    Returns:
        Products of the tokens' probabilities, 0 to 1. A text's closing quote counts: it ends the shorter of two values
        that begin alike. None where the tokens don't spell the answer, or one has no log-probability.
    """
    tokens = _tokens(logprobs)
    if tokens is None:
        return None
    spelled, sought = b"".join(text for text, _ in tokens), answer.encode("utf-8", "surrogatepass")
    ends = list(accumulate(len(text) for text, _ in tokens))
    begin = _begin(spelled, sought, ends)
    if begin is None:
        return None
    return [
        min(
            1.0,
            math.exp(sum(logprob for _, logprob in tokens[bisect_right(ends, first) : bisect_left(ends, last) + 1])),
        )
        for first, last in ((begin + start, begin + end) for start, end in _spans(sought))
    ]


def _begin(spelled: bytes, sought: bytes, ends: list[int]) -> int | None:
    """Where the answer begins among what its tokens spell: before tokens that only end it, and after its thoughts."""
    if not sought:
        return None
    for end in reversed(ends[-_MOST_ENDING:]):
        if spelled.endswith(sought, 0, end):
            return end - len(sought)
    begin = spelled.find(sought)
    return None if begin < 0 else begin


def _spans(answer: bytes) -> Iterator[tuple[int, int]]:
    for match in _VALUE.finditer(answer):
        yield match.span("text" if match["text"] is not None else "scalar")


def _tokens(logprobs: Any) -> list[tuple[bytes, float]] | None:
    """Each token's bytes and log-probability."""
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_TOKENS:
        return None
    tokens = []
    for token in listed:
        match token:
            case {"token": str(text), "logprob": int() | float() as logprob} if _is_log(logprob):
                tokens.append((_bytes(text, token.get("bytes")), float(logprob)))
            case _:
                return None
    return tokens


def _is_log(value: float) -> bool:
    """Whether it is a probability's; a server's rounding may leave one just above 0."""
    return not isinstance(value, bool) and -_LEAST <= value <= 1e-3


def _bytes(text: str, given: Any) -> bytes:
    """A token may be a part of a character: its bytes say which, where they are given."""
    if isinstance(given, list):
        try:
            return bytes(given)
        except (TypeError, ValueError):
            pass
    return text.encode("utf-8", "surrogatepass")
