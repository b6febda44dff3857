"""Databricks' task functions: what each asks of a model, by a prompt file and a schema of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.extraction import fields_of, schema_of_fields
from gateway_batch.spark.plan import Shape
from gateway_batch.spark.signature import Constants, Signature, invalid_value
from gateway_batch.types import JsonObject, ResponseFormat

_PROMPTS = Path(__file__).parent.parent / "prompts"

LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "it": "Italian",
    "pt": "Portuguese",
    "th": "Thai",
}
SENTIMENTS = ("positive", "negative", "neutral", "mixed")

_DEFAULT_WORDS = 50
_MOST_INSTRUCTIONS = 20_000
_LABELS = {"1.0": (2, 20), "2.0": (2, 500)}
_LONGEST_LABEL = 100


@dataclass(frozen=True)
class Asked:
    """What a task's call asks for.

    Attributes:
        instructions: the system's word before the content; None: the content says it all.
        response_format: of the answer; None for text.
        member: the member of the answer that is the value.
        shape: how the value becomes the result.
        result_type: SQL type of the result; JSON text where the shape is an envelope.
    """

    instructions: str | None = None
    response_format: ResponseFormat | None = None
    member: str | None = None
    shape: Shape = Shape.VALUE
    result_type: t.DataType = t.StringType()  # noqa: RUF009  it has no state


@dataclass(frozen=True)
class TaskFunction:
    """A task function.

    Attributes:
        signature: its parameters.
        contents: those that depend on data; the others are constants.
        ask: what a call with these constants asks for.
    """

    signature: Signature
    contents: tuple[str, ...]
    ask: Callable[[Constants], Asked]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.function

    @property
    def constants(self) -> tuple[str, ...]:
        """The parameters that have to be constants."""
        return tuple(name for name in self.signature.parameters if name not in self.contents)


def _prompt(name: str, **values: object) -> str:
    return (_PROMPTS / f"{name}.txt").read_text(encoding="utf-8").format(**values).strip()


def _one_member(name: str, schema: JsonObject) -> ResponseFormat:
    return ResponseFormat(
        {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}, name
    )


def _text_of(member: str, instructions: str) -> Asked:
    return Asked(instructions, _one_member(member, {"type": "string"}), member)


def _analyze_sentiment(constants: Constants) -> Asked:
    schema: JsonObject = {"type": "string", "enum": list(SENTIMENTS)}
    return Asked(_prompt("ai_analyze_sentiment"), _one_member("sentiment", schema), "sentiment")


def _fix_grammar(constants: Constants) -> Asked:
    return _text_of("text", _prompt("ai_fix_grammar"))


def _gen(constants: Constants) -> Asked:
    return Asked()


def _mask(constants: Constants) -> Asked:
    labels = _names(constants.any("labels"), "ai_mask", "labels")
    return _text_of("text", _prompt("ai_mask", labels=_listed(labels)))


def _similarity(constants: Constants) -> Asked:
    return Asked(shape=Shape.SIMILARITY, result_type=t.FloatType())


def _summarize(constants: Constants) -> Asked:
    words = constants.integer("max_words", _DEFAULT_WORDS)
    if words < 0:
        raise AiFunctionError(
            "AI_FUNCTION_INVALID_MAX_WORDS",
            f"The maximum number of words must be a non-negative integer, but got {words}.",
        )
    return _text_of("summary", _prompt("ai_summarize", length=f", in at most {words} words" if words else ""))


def _translate(constants: Constants) -> Asked:
    code = constants.required_text("to_lang")
    if code.lower() not in LANGUAGES:
        raise invalid_value("ai_translate", "to_lang", f"expects one of {', '.join(LANGUAGES)}, but got {code!r}")
    return _text_of("translation", _prompt("ai_translate", language=LANGUAGES[code.lower()]))


def _classify(constants: Constants) -> Asked:
    given = constants.any("labels")
    options = _options(constants, "ai_classify", ("version", "instructions", "multilabel"))
    version = options.get("version", "1.0" if isinstance(given, list) else "2.0")
    if version not in _LABELS:
        raise invalid_value("ai_classify", "options", f"version must be 1.0 or 2.0, but got {version!r}")
    labels = _labels(given, *_LABELS[version])
    several = _flag(options, "ai_classify", "multilabel")
    if several and version == "1.0":
        raise invalid_value("ai_classify", "options", "multilabel needs version 2.0: give the labels as a JSON string")
    instructions = _prompt(
        "ai_classify",
        how_many="one or more" if several else "exactly one",
        labels="\n".join(f"- {name}: {meaning}" if meaning else f"- {name}" for name, meaning in labels.items()),
        instructions=options.get("instructions", ""),
    )
    one: JsonObject = {"type": "string", "enum": list(labels)}
    if version == "1.0":
        return Asked(instructions, _one_member("label", one), "label")
    if several:
        many = _one_member("labels", {"type": "array", "items": one})
        return Asked(instructions, many, "labels", Shape.ENVELOPE)
    return Asked(instructions, _one_member("label", one), "label", Shape.ENVELOPE_OF_LIST)


def _extract(constants: Constants) -> Asked:
    options = _options(
        constants, "ai_extract", ("version", "instructions", "enableCitations", "enableConfidenceScores")
    )
    fields = fields_of(constants.any("schema"))
    schema = schema_of_fields(
        fields,
        citations=_flag(options, "ai_extract", "enableCitations"),
        confidence=_flag(options, "ai_extract", "enableConfidenceScores"),
    )
    described = "\n".join(
        f"- {name}: {field['description']}" if field.get("description") else f"- {name}"
        for name, field in fields.items()
    )
    instructions = _prompt("ai_extract", fields=described, instructions=options.get("instructions", ""))
    return Asked(instructions, ResponseFormat(schema, "fields"), None, Shape.ENVELOPE)


def _labels(given: Any, fewest: int, most: int) -> dict[str, str | None]:
    """Labels with their descriptions, from an array, or from JSON text of an array or an object."""
    found = given
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except ValueError as error:
            raise invalid_value("ai_classify", "labels", f"expects JSON, but it is none: {error}") from None
    described = found if isinstance(found, dict) else dict.fromkeys(_names(found, "ai_classify", "labels"))
    if not all(meaning is None or isinstance(meaning, str) for meaning in described.values()):
        raise invalid_value("ai_classify", "labels", "expects a string as each label's description")
    if not fewest <= len(described) <= most:
        raise invalid_value(
            "ai_classify", "labels", f"expects {fewest} to {most} different labels, but got {len(described)}"
        )
    if wrong := next((name for name in described if not 1 <= len(name) <= _LONGEST_LABEL), None):
        raise invalid_value("ai_classify", "labels", f"expects labels of 1 to {_LONGEST_LABEL} characters: {wrong!r}")
    if "" in described:
        raise invalid_value("ai_classify", "labels", f"expects labels of 1 to {_LONGEST_LABEL} characters: ''")
    return described


def _names(value: Any, function: str, parameter: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise invalid_value(function, parameter, "expects a non-empty array of strings")
    return value


def _listed(names: list[str]) -> str:
    return "\n".join(f"- {name}" for name in names)


def _options(constants: Constants, function: str, known: tuple[str, ...]) -> dict[str, str]:
    options = constants.mapping("options")
    if unknown := next((name for name in options if name not in known), None):
        raise invalid_value(function, "options", f"has no option {unknown!r}; there are {', '.join(known)}")
    if len(options.get("instructions") or "") > _MOST_INSTRUCTIONS:
        raise invalid_value(function, "options", f"instructions are longer than {_MOST_INSTRUCTIONS:,} characters")
    return {name: str(value) for name, value in options.items() if value is not None}


def _flag(options: dict[str, str], function: str, name: str) -> bool:
    written = options.get(name, "false").lower()
    if written not in ("true", "false"):
        raise invalid_value(function, "options", f"{name} must be true or false, but got {written!r}")
    return written == "true"


def _task(
    name: str, parameters: tuple[str, ...], required: int, contents: int, ask: Callable[..., Asked]
) -> TaskFunction:
    signature = Signature(name, parameters, required=required, positional=len(parameters))
    return TaskFunction(signature, parameters[:contents], ask)


TASKS = (
    _task("ai_analyze_sentiment", ("content",), 1, 1, _analyze_sentiment),
    _task("ai_classify", ("content", "labels", "options"), 2, 1, _classify),
    _task("ai_extract", ("content", "schema", "options"), 2, 1, _extract),
    _task("ai_fix_grammar", ("content",), 1, 1, _fix_grammar),
    _task("ai_gen", ("prompt",), 1, 1, _gen),
    _task("ai_mask", ("content", "labels"), 2, 1, _mask),
    _task("ai_similarity", ("expr1", "expr2"), 2, 2, _similarity),
    _task("ai_summarize", ("content", "max_words"), 1, 1, _summarize),
    _task("ai_translate", ("content", "to_lang"), 2, 1, _translate),
)
