"""Databricks' task functions: what each asks of a model, by a prompt file and a schema of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import types as t

from gateway_batch.errors import ai_function_error
from gateway_batch.spark.calls.call_plan import Shape
from gateway_batch.spark.calls.classification import classify
from gateway_batch.spark.calls.decisions import decide
from gateway_batch.spark.calls.extraction import fields_of, schema_of_fields
from gateway_batch.spark.calls.instructions import Asked, flag, names, one_member, one_or_none, options, prompt
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import Constants, Signature, invalid_value
from gateway_batch.types import ResponseFormat

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

FAIL_ON_ERROR = "failOnError"
"""An argument of all, by name. Functions whose result has the row's error in it fail only where it is true."""

_DEFAULT_WORDS = 50
_PRECISION = "precision"
_WITH_METADATA = "2.1"
_PRECISELY = "Give null for whatever the text does not say plainly: a wrong value is worse than none."


@dataclass(frozen=True)
class TaskFunction:
    """A task function.

    Attributes:
        signature: its parameters.
        contents: those that depend on data; the others are constants.
        ask: what a call with these constants asks for.
        by_row: constants that may depend on data, too.
    """

    signature: Signature
    contents: tuple[str, ...]
    ask: Callable[[Constants], Asked]
    by_row: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.function

    @property
    def constants(self) -> tuple[str, ...]:
        """The parameters that have to be constants."""
        return tuple(name for name in self.signature.parameters if name not in self.contents)


def _text_of(member: str, instructions: str, bound: OutputBound) -> Asked:
    return Asked(instructions, one_member(member, {"type": "string"}), member, bound=bound)


def _analyze_sentiment(constants: Constants) -> Asked:
    return Asked(
        prompt("ai_analyze_sentiment"),
        one_member("sentiment", one_or_none(SENTIMENTS)),
        "sentiment",
        misfit_is_null=True,
        bound=OutputBound(64),
    )


def _fix_grammar(constants: Constants) -> Asked:
    return _text_of("text", prompt("ai_fix_grammar"), OutputBound(128, 1.5))


def _gen(constants: Constants) -> Asked:
    return Asked()


def _mask(constants: Constants) -> Asked:
    labels = names(constants.any("labels"), "ai_mask", "labels")
    return _text_of("text", prompt("ai_mask", labels=_listed(labels)), OutputBound(128, 2))


def _similarity(constants: Constants) -> Asked:
    return Asked(shape=Shape.SIMILARITY, result_type=t.FloatType())


def _summarize(constants: Constants) -> Asked:
    words = constants.integer("max_words", _DEFAULT_WORDS)
    if words < 0:
        raise ai_function_error("AI_FUNCTION_INVALID_MAX_WORDS", words=words)
    bound = OutputBound(256 + 10 * words) if words else OutputBound(1024, 1)
    return _text_of("summary", prompt("ai_summarize", length=f", in at most {words} words" if words else ""), bound)


def _translate(constants: Constants) -> Asked:
    code = constants.required_text("to_lang")
    if code.lower() not in LANGUAGES:
        raise invalid_value("ai_translate", "to_lang", f"expects one of {', '.join(LANGUAGES)}, but got {code!r}")
    return _text_of("translation", prompt("ai_translate", language=LANGUAGES[code.lower()]), OutputBound(256, 2))


def _extract(constants: Constants) -> Asked:
    known = ("version", "instructions", "enableCitations", "enableConfidenceScores", "mode")
    given = options(constants, "ai_extract", known)
    if given.get("mode", _PRECISION) != _PRECISION:
        raise invalid_value("ai_extract", "options", f"mode must be {_PRECISION}, but got {given['mode']!r}")
    fields = fields_of(constants.any("schema"))
    confidences = flag(given, "ai_extract", "enableConfidenceScores")
    citations = flag(given, "ai_extract", "enableCitations")
    schema = schema_of_fields(fields, citations=citations, confidence=confidences)
    described = "\n".join(
        f"- {name}: {field['description']}" if field.get("description") else f"- {name}"
        for name, field in fields.items()
    )
    precise = [_PRECISELY] if "mode" in given else []
    own = "\n".join([*precise, given.get("instructions", "")])
    instructions = prompt("ai_extract", fields=described, instructions=own)
    bound = OutputBound(512 + len(json.dumps(schema)), 2)
    metadata = None
    if given.get("version") == _WITH_METADATA:
        metadata = json.dumps({"version": _WITH_METADATA, **({"mode": given["mode"]} if "mode" in given else {})})
    return Asked(
        instructions,
        ResponseFormat(schema, "fields"),
        shape=Shape.ENVELOPE,
        bound=bound,
        metadata=metadata,
        confidences=confidences,
    )


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _task(
    name: str,
    parameters: tuple[str, ...],
    required: int,
    contents: int,
    ask: Callable[..., Asked],
    by_row: tuple[str, ...] = (),
) -> TaskFunction:
    signature = Signature(name, (*parameters, FAIL_ON_ERROR), required=required, positional=len(parameters))
    return TaskFunction(signature, parameters[:contents], ask, by_row)


TASKS = (
    _task("ai_analyze_sentiment", ("content",), 1, 1, _analyze_sentiment),
    _task("ai_classify", ("content", "labels", "options"), 2, 1, classify, by_row=("labels",)),
    _task("ai_decide", ("state", "questions", "options"), 2, 1, decide),
    _task("ai_extract", ("content", "schema", "options"), 2, 1, _extract),
    _task("ai_fix_grammar", ("content",), 1, 1, _fix_grammar),
    _task("ai_gen", ("prompt",), 1, 1, _gen),
    _task("ai_mask", ("content", "labels"), 2, 1, _mask),
    _task("ai_similarity", ("expr1", "expr2"), 2, 2, _similarity),
    _task("ai_summarize", ("content", "max_words"), 1, 1, _summarize),
    _task("ai_translate", ("content", "to_lang"), 2, 1, _translate),
)
