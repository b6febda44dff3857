"""Confidence scores of an answer's values: by the log-probabilities of their tokens, or as the model states them.

The scores are kept with the answer: a row whose request was another's has those of the one call that there was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway_batch.apis.token_probabilities import value_probabilities
from gateway_batch.types import InferenceResult, JsonObject

SCORED = "with confidences"
"""Names the form in which such answers are kept."""

SCORE = "confidence_score"


def with_confidences(result: InferenceResult) -> dict[str, Any]:
    """An answer with the probabilities of its values, None where its API gave no log-probabilities."""
    return {"value": result.value, "confidences": value_probabilities(result.value, result.logprobs)}


def is_scored(kept: Any) -> bool:
    """Whether a kept value is such an answer."""
    if not isinstance(kept, dict) or not isinstance(kept.get("value"), str):
        return False
    scores = kept.get("confidences")
    return scores is None or (
        isinstance(scores, list) and all(type(each) is float and 0 <= each <= 1 for each in scores)
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """A value with its scores, and where they come from, in the words of an envelope's metadata."""

    value: Any
    source: str


def scored(value: Any, confidences: list[float] | None) -> Scored:
    """A value with its scores.

    Args:
        value: JSON whose objects with a member `value` have a `confidence_score`, in the answer's order.
        confidences: one for each of them; None or another number: the stated ones stay.
    """
    objects = list(_scored_objects(value))
    if confidences is None or len(confidences) != len(objects):
        return Scored(value, "stated by the model")
    for each, confidence in zip(objects, confidences, strict=True):
        each[SCORE] = confidence
    return Scored(value, "token log-probabilities")


def _scored_objects(value: Any) -> Iterator[JsonObject]:
    if isinstance(value, list):
        for item in value:
            yield from _scored_objects(item)
    elif isinstance(value, dict):
        if SCORE in value and "value" in value and not isinstance(value["value"], dict | list):
            yield value
        else:
            for member in value.values():
                yield from _scored_objects(member)
