"""What a task function's call asks of a model, and how it is made from the call's constants. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import types as t

from gateway_batch.spark.calls.call_plan import Shape
from gateway_batch.spark.calls.extraction import closed_object
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import Constants, invalid_value
from gateway_batch.types import JsonObject, ResponseFormat

_PROMPTS = Path(__file__).parent / "prompts"
_MOST_INSTRUCTIONS = 20_000


@dataclass(frozen=True)
class Asked:
    """What a task's call asks for.

    Attributes:
        instructions: the system's word before the content; None: the content says it all.
        response_format: of the answer; None for text.
        member: the member of the answer that is the value.
        shape: how the value becomes the result.
        result_type: SQL type of the result; JSON text where the shape is an envelope.
        misfit_is_null: whether an answer that is not what was asked for is NULL, and no error.
        bound: of the answer's tokens; None: the model's own.
        metadata: the envelope's member of that name, as JSON text; None: it has none.
        questions: of `ai_decide`, as JSON text.
        confidences: whether each value of the answer has a `confidence_score`.
    """

    instructions: str | None = None
    response_format: ResponseFormat | None = None
    member: str | None = None
    shape: Shape = Shape.VALUE
    result_type: t.DataType = t.StringType()  # noqa: RUF009  it has no state
    misfit_is_null: bool = False
    bound: OutputBound | None = None
    metadata: str | None = None
    questions: str | None = None
    confidences: bool = False


def prompt(name: str, **values: object) -> str:
    """A prompt file's text with its places filled."""
    return (_PROMPTS / f"{name}.txt").read_text(encoding="utf-8").format(**values).strip()


def one_member(name: str, schema: JsonObject) -> ResponseFormat:
    """An object of one member."""
    return ResponseFormat(closed_object({name: schema}), name)


def one_or_none(values: Iterable[str]) -> JsonObject:
    """The schema of one of some texts, or null."""
    return {"type": ["string", "null"], "enum": [*values, None]}


def names(value: Any, function: str, parameter: str) -> list[str]:
    """A list of texts.

    Raises:
        AiFunctionError: it is empty, or none.
    """
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise invalid_value(function, parameter, "expects a non-empty array of strings")
    return value


def options(constants: Constants, function: str, known: tuple[str, ...]) -> dict[str, str]:
    """The argument `options`, without those that are NULL.

    Raises:
        AiFunctionError: one is unknown, or the instructions are too long.
    """
    given = constants.mapping("options")
    if unknown := next((name for name in given if name not in known), None):
        raise invalid_value(function, "options", f"has no option {unknown!r}; there are {', '.join(known)}")
    if len(given.get("instructions") or "") > _MOST_INSTRUCTIONS:
        raise invalid_value(function, "options", f"instructions are longer than {_MOST_INSTRUCTIONS:,} characters")
    return {name: str(value) for name, value in given.items() if value is not None}


def flag(given: dict[str, str], function: str, name: str) -> bool:
    """An option that is true or false, which it is where it isn't given.

    Raises:
        AiFunctionError: it is neither.
    """
    written = given.get(name, "false").lower()
    if written not in ("true", "false"):
        raise invalid_value(function, "options", f"{name} must be true or false, but got {written!r}")
    return written == "true"
