"""`ai_decide`: questions about a state, what a model is asked for each, and the answers of what it states. Pure.

Questions and answers are those of Databricks' REST API (`AiDecideRequest`, `AiDecideResponse` in its SDK for Go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.call_plan import Shape
from gateway_batch.spark.calls.extraction import closed_object
from gateway_batch.spark.calls.instructions import Asked, options, prompt
from gateway_batch.spark.calls.output_bounds import OutputBound
from gateway_batch.spark.calls.signature import Constants, invalid_value
from gateway_batch.types import JsonObject, ResponseFormat

FUNCTION = "ai_decide"
VERSION = "1.0"

_MOST_OPTIONS = 255
_LEVELS = range(2, 11)
_SHARE: JsonObject = {"type": "number", "minimum": 0, "maximum": 1}
_TOKENS_OF_NUMBER = 12

Question = Mapping[str, Any]


def decide(constants: Constants) -> Asked:
    """What a call asks for.

    Raises:
        AiFunctionError: an argument is wrong.
    """
    version = options(constants, FUNCTION, ("version",)).get("version", VERSION)
    if version != VERSION:
        raise invalid_value(FUNCTION, "options", f"version must be {VERSION}, but got {version!r}")
    questions = questions_of(constants.any("questions"))
    schema = closed_object({name: _schema(question) for name, question in questions.items()})
    listed = "\n".join(_written(name, question) for name, question in questions.items())
    numbers = sum(len(question.get("criteria") or ()) + 2 for question in questions.values())
    return Asked(
        prompt(FUNCTION, questions=listed),
        ResponseFormat(schema, "answers"),
        shape=Shape.DECISIONS,
        bound=OutputBound(128 + _TOKENS_OF_NUMBER * numbers + len(json.dumps(schema)) // 2),
        metadata=json.dumps({"version": VERSION, "probabilities": "stated by the model"}),
        questions=json.dumps(questions),
    )


def questions_of(given: Any) -> dict[str, Question]:
    """The questions by their ids.

    Args:
        given: JSON text of an object from id to `{"type": ..., "instructions": ..., "criteria": ...}`: `choice` with an
            object from option to description, `noul` with none or with descriptions of `true` and `false`, `score` with
            an array of levels, the lowest first.

    Raises:
        AiFunctionError: it is none.
    """
    if not isinstance(given, str):
        raise _invalid("expects JSON text of an object from ids to questions")
    try:
        found = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"expects JSON, but it is none: {error}") from None
    if not isinstance(found, dict) or not found:
        raise _invalid("expects an object from ids to questions, with one at least")
    for name, question in found.items():
        _check(name, question)
    return found


def answers(questions: Mapping[str, Question], stated: JsonObject) -> JsonObject:
    """The answers that Databricks' function gives, from what a model stated by the schema.

    Probabilities are made to add up to 1; of options that are equally likely the first is the choice.

    Raises:
        ValueError: all probabilities of a question are 0; the message names it.
    """
    return {"answers": {name: _answer(name, question, stated[name]) for name, question in questions.items()}}


def _answer(name: str, question: Question, stated: JsonObject) -> JsonObject:
    kind = question["type"]
    if kind == "noul":
        return {"type": kind, "probability": stated["probability"]}
    probabilities = stated["probabilities"]
    total = sum(probabilities.values())
    if not total > 0:
        raise ValueError(f"all probabilities of {name!r} are 0")
    if abs(total - 1) > 1e-9:
        probabilities = {option: share / total for option, share in probabilities.items()}
    rest = {"probabilities": probabilities, "confidence": stated["confidence"]}
    if kind == "choice":
        return {"type": kind, "choice": max(question["criteria"], key=lambda option: probabilities[option]), **rest}
    legend = {str(level): meaning for level, meaning in enumerate(question["criteria"])}
    return {
        "type": kind,
        "score": sum(int(level) * share for level, share in probabilities.items()),
        "probabilities": probabilities,
        "legend": legend,
        "confidence": stated["confidence"],
    }


def _schema(question: Question) -> JsonObject:
    match question["type"]:
        case "noul":
            return closed_object({"probability": _SHARE})
        case "choice":
            shares = dict.fromkeys(question["criteria"], _SHARE)
        case _:
            shares = {str(level): _SHARE for level in range(len(question["criteria"]))}
    return closed_object({"probabilities": closed_object(shares), "confidence": _SHARE})


def _written(name: str, question: Question) -> str:
    """A question for the model."""
    criteria: Any = question.get("criteria")
    asked = f"{json.dumps(name)}: {_text(question['instructions'])}"
    shares = "Give the probability of each, together 1, and as confidence from 0 to 1 how well the state supports that."
    match question["type"]:
        case "noul":
            meanings = [f"  - {side}: {_text(meaning)}" for side, meaning in (criteria or {}).items()]
            return "\n".join([f"{asked} Give the probability from 0 to 1 that the answer is true.", *meanings])
        case "choice":
            listed = [f"  - {option}: {_text(what)}" if what else f"  - {option}" for option, what in criteria.items()]
            return "\n".join([f"{asked} {shares} Options:", *listed])
        case _:
            listed = [f"  - {level}: {_text(meaning)}" for level, meaning in enumerate(criteria)]
            return "\n".join([f"{asked} {shares} Levels, from low to high:", *listed])


def _check(name: str, question: Any) -> None:
    if not name.strip():
        raise _invalid("has a question whose id is blank")
    match question:
        case {"type": "choice", "instructions": _, "criteria": dict() as described} if described:
            if len(described) > _MOST_OPTIONS or not all(option.strip() for option in described):
                raise _invalid(f"gives the question {name!r} no 1 to {_MOST_OPTIONS} options with names")
            fits = all(what is None or _says(what, blank=True) for what in described.values())
        case {"type": "noul", "instructions": asked, **rest}:
            sides = rest.get("criteria") or {}
            meanings = sides.values() if isinstance(sides, dict) and sides.keys() <= {"true", "false"} else [None]
            fits = all(_says(meaning, blank=True) for meaning in meanings) and any(map(_says, (asked, *meanings)))
        case {"type": "score", "instructions": _, "criteria": list() as levels}:
            if len(levels) not in _LEVELS:
                raise _invalid(f"gives the question {name!r} {len(levels)} levels; a score has 2 to 10")
            fits = all(map(_says, levels))
        case _:
            raise _invalid(
                f"gives the question {name!r} no type that there is with what it needs: choice with criteria, an "
                "object from options to descriptions; noul; score with criteria, an array of levels; each with "
                "instructions"
            )
    if not fits or not _says(question["instructions"], blank=True):
        raise _invalid(f"describes something in the question {name!r} by what is no text, object or array that says it")


def _says(value: Any, *, blank: bool = False) -> bool:
    """Whether it is a text, an object or an array, and not a blank one."""
    if isinstance(value, str):
        return blank or bool(value.strip())
    return isinstance(value, dict | list) and (blank or bool(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _invalid(why: str) -> AiFunctionError:
    return invalid_value(FUNCTION, "questions", why)
