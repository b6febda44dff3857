"""Which values a kept answer may have: what a store gives back may be anybody's, and goes to Spark as it is."""

from __future__ import annotations

from math import isfinite
from typing import Any

from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.response_cache import Fits
from gateway_batch.spark.worker.confidences import is_scored
from gateway_batch.types import Task

_TEXTS = ("eventId", "model", "finishReason")
_COUNTS = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "reasoningTokens")


def fits_of(task: Task, *, details: bool, confidences: bool = False) -> Fits | None:
    """Whether a kept value is one that a request of a task could have been answered with; None: any is.

    Args:
        task: of the service.
        details: whether an answer is kept together with its details.
        confidences: whether it is kept with the probabilities of its values.
    """
    if confidences:
        return is_scored
    of_value = {Task.CHAT: _is_text, Task.EMBEDDINGS: _is_vector}.get(task)
    if not details or task is Task.EMBEDDINGS:
        return of_value
    return lambda kept: _has_details(kept) and (of_value is None or of_value(kept["value"]))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and isfinite(value))


def _has_details(kept: Any) -> bool:
    return (
        isinstance(kept, dict)
        and "value" in kept
        and all(isinstance(kept.get(name), str | None) for name in _TEXTS)
        and all(_is_count(kept.get(name)) for name in _COUNTS)
    )


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MOST_TOKENS)
