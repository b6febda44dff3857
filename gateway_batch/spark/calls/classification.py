"""What `ai_classify` asks for: the labels are constants of the call, or differ from row to row."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from gateway_batch.spark.calls.call_plan import Shape
from gateway_batch.spark.calls.extraction import closed_object
from gateway_batch.spark.calls.instructions import Asked, flag, names, one_member, one_or_none, options, prompt
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import Constants, invalid_value
from gateway_batch.types import JsonObject

FUNCTION = "ai_classify"

_LABELS = {"1.0": (2, 20), "2.0": (2, 500), "2.1": (2, 500)}
_LONGEST_LABEL = 100
_BOUND = OutputBound(128)

# What version 2.1 gives with each label on demand: the answer's member, its schema, the model's instruction, tokens.
_CONFIDENCE = "enableConfidenceScores"
_EXTRAS: dict[str, tuple[str, JsonObject, str, int]] = {
    _CONFIDENCE: (
        "confidence_score",
        {"type": "number", "minimum": 0, "maximum": 1},
        "Give with each label a confidence_score from 0 to 1: how sure you are that it fits.",
        16,
    ),
    "enableRationales": (
        "rationale",
        {"type": "string"},
        "Give with each label a rationale: one short sentence on why it fits.",
        128,
    ),
}


@dataclass(frozen=True)
class Classifier:
    """A call of `ai_classify` but for its labels.

    Attributes:
        version: of the function: 1.0 gives a label or NULL, 2.0 an envelope, 2.1 one of objects.
        several: whether several labels may fit.
        instructions: the caller's own.
        extras: what version 2.1 gives with each label, by the names of its options.
    """

    version: str
    several: bool
    instructions: str
    extras: tuple[str, ...] = ()

    def asked(self, labels: Any) -> Asked:
        """What is asked for with these labels.

        Args:
            labels: a list, or JSON text of a list or of an object from label to description.

        Raises:
            AiFunctionError: they are not what the version takes.
        """
        described = _described(labels, *_LABELS[self.version])
        instructions = prompt(
            FUNCTION,
            how_many="one or more" if self.several else "exactly one",
            none="an empty list" if self.several else "null",
            labels="\n".join(f"- {name}: {meaning}" if meaning else f"- {name}" for name, meaning in described.items()),
            instructions="\n".join([*(_EXTRAS[name][2] for name in self.extras), self.instructions]),
        )
        one: JsonObject = {"type": "string", "enum": list(described)} if self.several else one_or_none(described)
        if self.version == "2.1":
            one = closed_object({"value": one, **{_EXTRAS[name][0]: _EXTRAS[name][1] for name in self.extras}})
        wanted = one_member("labels", {"type": "array", "items": one}) if self.several else one_member("label", one)
        answer = map(len, described)
        extras = sum(_EXTRAS[name][3] for name in self.extras) * (len(described) if self.several else 1)
        bound = OutputBound(
            _BOUND.base + 2 * (sum(answer) if self.several else max(answer)) + 4 * len(described) + extras
        )
        return replace(self.asked_by_row, instructions=instructions, response_format=wanted, bound=bound)

    @property
    def asked_by_row(self) -> Asked:
        """What is asked for but for what depends on the labels."""
        if self.version == "1.0":
            return Asked(member="label", misfit_is_null=True, bound=_BOUND)
        metadata = None
        if self.version == "2.1":
            metadata = json.dumps({"version": self.version})
        asked = Asked(metadata=metadata, bound=_BOUND, confidences=_CONFIDENCE in self.extras)
        if self.several:
            return replace(asked, member="labels", shape=Shape.ENVELOPE)
        return replace(asked, member="label", shape=Shape.ENVELOPE_OF_LIST)


def classify(constants: Constants) -> Asked:
    """What a call asks for whose labels are constants.

    Raises:
        AiFunctionError: an argument is wrong.
    """
    labels = constants.any("labels")
    return classifier_of(constants, in_array=isinstance(labels, list)).asked(labels)


def classifier_of(constants: Constants, *, in_array: bool) -> Classifier:
    """The classifier of a call.

    Args:
        constants: the call's.
        in_array: whether its labels are an ARRAY, as version 1.0 takes them, and not JSON.

    Raises:
        AiFunctionError: an option is wrong.
    """
    given = options(constants, FUNCTION, ("version", "instructions", "multilabel", *_EXTRAS))
    version = given.get("version", "1.0" if in_array else "2.0")
    if version not in _LABELS:
        raise invalid_value(FUNCTION, "options", f"version must be {' or '.join(_LABELS)}, but got {version!r}")
    several = flag(given, FUNCTION, "multilabel")
    if several and version == "1.0":
        raise invalid_value(FUNCTION, "options", "multilabel needs version 2.0: give the labels as a JSON string")
    extras = tuple(name for name in _EXTRAS if flag(given, FUNCTION, name))
    if extras and version != "2.1":
        raise invalid_value(FUNCTION, "options", f"{extras[0]} needs version 2.1: version => '2.1'")
    return Classifier(version, several, given.get("instructions", ""), extras)


def _described(given: Any, fewest: int, most: int) -> dict[str, str | None]:
    """Labels with their descriptions."""
    found = given
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except ValueError as error:
            raise invalid_value(FUNCTION, "labels", f"expects JSON, but it is none: {error}") from None
        except RecursionError:
            raise invalid_value(FUNCTION, "labels", "expects JSON, but it is nested too deep") from None
    described = found if isinstance(found, dict) else dict.fromkeys(names(found, FUNCTION, "labels"))
    if not all(meaning is None or isinstance(meaning, str) for meaning in described.values()):
        raise invalid_value(FUNCTION, "labels", "expects a string as each label's description")
    if any(not _is_unicode(text) for label in described.items() for text in label if text is not None):
        raise invalid_value(FUNCTION, "labels", "expects text, but one has half of a surrogate pair")
    if not fewest <= len(described) <= most:
        raise invalid_value(
            FUNCTION, "labels", f"expects {fewest} to {most} different labels, but got {len(described)}"
        )
    sizes = [len(name) for name in described]
    if min(sizes) < 1 or max(sizes) > _LONGEST_LABEL:
        wrong = next(size for size in sizes if not 1 <= size <= _LONGEST_LABEL)
        raise invalid_value(
            FUNCTION, "labels", f"expects labels of 1 to {_LONGEST_LABEL} characters, but one has {wrong}"
        )
    return described


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
