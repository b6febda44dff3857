"""From a batch's answers to the Arrow column that Spark takes back."""

from __future__ import annotations

import json
import math
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
from pyspark.sql.types import _parse_datatype_json_string

from gateway_batch.apis import task_of
from gateway_batch.apis.promised_json import NotAsPromised, promised_json
from gateway_batch.errors import AiFunctionError, CallError, as_ai_function_error
from gateway_batch.json_data import exact_json
from gateway_batch.spark.calls.call_plan import CallPlan, Shape
from gateway_batch.spark.calls.decisions import answers as decided
from gateway_batch.spark.calls.planning import DETAILS
from gateway_batch.spark.sql_types.casting import answer_reader, arrow_type, does_not_fit
from gateway_batch.spark.worker.call_details import failure_details, misfit_details
from gateway_batch.spark.worker.confidences import SCORE, Scored, scored
from gateway_batch.types import JsonObject, ResponseFormat, Task
from gateway_batch.usage.task_summary import UNFIT

Read = Callable[[Any], Any]

NULL = object()
"""An answer that is NULL; where a row sent nothing there is None."""

_DETAILS = [(name, arrow_type(data_type)) for name, data_type in DETAILS.items()]

# The names of an envelope's value and error.
_MEMBERS = {
    Shape.ENVELOPE: ("response", "error_message"),
    Shape.ENVELOPE_OF_LIST: ("response", "error_message"),
    Shape.DECISIONS: ("response", "error_message"),
    Shape.RESULT: ("result", "errorMessage"),
}


@dataclass(frozen=True, slots=True)
class Formatted:
    """An answer and the format that its row asked for, where rows differ in it."""

    value: Any
    response_format: ResponseFormat | None


def column_writer(plan: CallPlan, failed: Counter[str] | None = None) -> Callable[[list[Any]], pa.Array]:
    """A function from a batch's answers to its column; an answer is a value, NULL, the row's CallError, or None.

    Args:
        plan: of the call.
        failed: counts the rows that have an error, by why.

    The function raises AiFunctionError of class AI_FUNCTION_HTTP_PARSE_CAST_ERROR for an answer that doesn't fit,
    unless errors are the row's.
    """
    data_type = _parse_datatype_json_string(plan.result_type)
    metadata = None if plan.metadata is None else json.loads(plan.metadata)
    read = _reader(plan)
    column_type = arrow_type(data_type)
    failures = Counter[str]() if failed is None else failed

    def outcome(answer: Any) -> tuple[Any, str | None]:
        """A row's result and its error, one of them None, or both where the answer is NULL."""
        if answer is NULL:
            return None, None
        if isinstance(answer, CallError):
            failures[answer.kind.value] += 1
            return None, str(as_ai_function_error(answer, plan.function))
        try:
            return read(answer), None
        except AiFunctionError as error:
            failures[UNFIT] += 1
            return None, str(error)

    def outcome_or_failure(answer: Any) -> tuple[Any, str | None]:
        try:
            return None if answer is NULL else read(answer), None
        except AiFunctionError:
            failures[UNFIT] += 1
            raise

    def values(answers: list[Any]) -> pa.Array:
        try:
            found = [None if answer is None or answer is NULL else read(answer) for answer in answers]
            return pa.array(found, type=column_type)
        except AiFunctionError:
            failures[UNFIT] += 1
            raise

    def results(answers: list[Any]) -> pa.Array:
        struct = pa.struct([("result", column_type), ("errorMessage", pa.string())])
        rows = [None if answer is None else outcome(answer) for answer in answers]
        return pa.array([row and dict(zip(("result", "errorMessage"), row, strict=True)) for row in rows], type=struct)

    def detailed(answers: list[Any]) -> pa.Array:
        struct = pa.struct([("result", column_type), ("errorMessage", pa.string()), *_DETAILS])
        return pa.array([None if answer is None else with_its_details(answer) for answer in answers], type=struct)

    def with_its_details(answer: Any) -> dict[str, Any]:
        if isinstance(answer, CallError):
            failures[answer.kind.value] += 1
            return failure_details(answer, plan.function)
        details = answer if isinstance(answer, dict) else {"value": answer}
        try:
            return {**details, "result": read(details["value"])}
        except AiFunctionError as error:
            failures[UNFIT] += 1
            return misfit_details(error, details)

    def envelopes(answers: list[Any]) -> pa.Array:
        names = _MEMBERS[plan.shape]
        of_row = outcome_or_failure if plan.fail_on_error else outcome
        rows = [None if answer is None else of_row(answer) for answer in answers]
        return pa.array([row and _envelope(names, row, metadata) for row in rows], type=column_type)

    if plan.shape.is_envelope:
        return envelopes
    if plan.details:
        return detailed
    return values if plan.fail_on_error else results


def _envelope(names: tuple[str, str], outcome: tuple[Any, str | None], metadata: JsonObject | None) -> str:
    value, error = outcome
    if isinstance(value, Scored):
        value, metadata = value.value, metadata and {**metadata, SCORE: value.source}
    envelope = {names[0]: value, names[1]: error}
    if metadata is not None:
        envelope["metadata"] = metadata
    try:
        return orjson.dumps(envelope).decode()
    except TypeError:  # numbers that no float holds
        return exact_json.dumps(envelope)


def _reader(plan: CallPlan) -> Read:
    value, shape = _value_reader(plan), plan.shape
    if plan.confidences:
        return _with_scores(_label_list(value) if shape is Shape.ENVELOPE_OF_LIST else value)
    if shape is Shape.SIMILARITY:
        return _similarity
    if shape is Shape.ENVELOPE:
        return value
    if shape is Shape.ENVELOPE_OF_LIST:
        return _label_list(value)
    if shape is Shape.DECISIONS:
        return _decisions(value, json.loads(plan.questions or "{}"))
    cast = answer_reader(_parse_datatype_json_string(plan.result_type), plan.time_zone)
    if plan.response_format is not None and plan.member is None:  # the text stays as it was, once it is checked
        return lambda answer: cast(answer) if value(answer) is not None else None
    if shape is Shape.RESULT and plan.member is None:  # JSON inside JSON stays JSON
        return lambda answer: cast(answer) if isinstance(answer, str) else value(answer)
    return lambda answer: cast(value(answer))


def _label_list(value: Read) -> Read:
    """The one label that fits in a list; None where none does."""

    def read(answer: Any) -> list[Any] | None:
        label = value(answer)
        return None if label is None or (isinstance(label, dict) and label["value"] is None) else [label]

    return read


def _with_scores(value: Read) -> Read:
    def read(answer: Any) -> Scored | None:
        kept = answer.value if isinstance(answer, Formatted) else answer
        found = value(replace(answer, value=kept["value"]) if isinstance(answer, Formatted) else kept["value"])
        return None if found is None else scored(found, kept.get("confidences"))

    return read


def _decisions(value: Read, questions: JsonObject) -> Read:
    def read(answer: Any) -> JsonObject:
        try:
            return decided(questions, value(answer))
        except ValueError as error:
            raise does_not_fit("VARIANT", answer, str(error)) from None

    return read


def _value_reader(plan: CallPlan) -> Read:
    read = _checked_reader(plan)
    return _null_where_unfit(read) if plan.misfit_is_null else read


def _checked_reader(plan: CallPlan) -> Read:
    """From an answer to its value: checked JSON or a member of it, a row's one vector, or the answer itself."""
    type_name, member = _parse_datatype_json_string(plan.result_type).simpleString(), plan.member
    if plan.classifier is not None and member is not None:
        return lambda answer: _checker(answer.response_format, type_name)(answer.value)[member]
    if plan.response_format is not None:
        check = _checker(plan.response_format, type_name)
        return check if member is None else lambda answer: check(answer)[member]
    return _only if task_of(plan.service.api) is Task.EMBEDDINGS else lambda answer: answer


def _null_where_unfit(read: Read) -> Read:
    def value(answer: Any) -> Any:
        try:
            return read(answer)
        except AiFunctionError:
            return None

    return value


def _only(vectors: list[list[float]]) -> list[float]:
    return vectors[0]


def _similarity(vectors: list[list[float]]) -> float:
    """The cosine of two vectors, 0 where it is below."""
    one, other = vectors
    lengths = math.hypot(*one) * math.hypot(*other)
    return min(1.0, max(0.0, sum(map(operator.mul, one, other)) / lengths)) if lengths else 0.0


def _checker(response_format: ResponseFormat | None, type_name: str) -> Callable[[Any], dict[str, Any]]:
    """A function from an answer's text to the JSON object that it promised to be."""
    promised = promised_json(response_format, "responseFormat")

    def check(answer: Any) -> dict[str, Any]:
        try:
            return promised(answer)
        except NotAsPromised as error:
            raise does_not_fit(type_name, answer, str(error)) from None

    return check
