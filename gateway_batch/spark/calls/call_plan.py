"""What travels from the driver to the workers inside the function's pickled command. No secret is in here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.types import ResponseFormat, Service

if TYPE_CHECKING:
    from gateway_batch.spark.calls.classification import Classifier
    from gateway_batch.spark.calls.output_bounds import OutputBound


@dataclass(frozen=True)
class CallerSettings:
    """What the usage records of all tasks have in common."""

    application_id: str
    requester: str | None
    account_id: str | None
    workspace_id: str | None


class Input(StrEnum):
    """A column that the function gets from Spark."""

    REQUEST = "request"
    TAGS = "requestTags"
    CONDITION = "when"
    FILES = "files"
    LABELS = "labels"


class Shape(StrEnum):
    """How an answer's value becomes the function's result."""

    VALUE = "value"  # cast to the result type
    ENVELOPE = "envelope"  # JSON text {"response": value, "error_message": null}; a failed row has its error in there
    ENVELOPE_OF_LIST = "envelope of list"  # the same, the value in a list
    DECISIONS = "decisions"  # the same, the value the answers to the questions of ai_decide
    RESULT = "result"  # JSON text {"result": value, "errorMessage": null}, where a function's type can only be text
    SIMILARITY = "similarity"  # of two vectors, from 0 to 1

    @property
    def is_envelope(self) -> bool:
        """Whether the result is JSON text that has the row's error in it."""
        return self in (Shape.ENVELOPE, Shape.ENVELOPE_OF_LIST, Shape.DECISIONS, Shape.RESULT)


@dataclass(frozen=True)
class CallPlan:
    """One call of a query, its constant arguments resolved.

    Attributes:
        function: the SQL function's name, for errors.
        parameters: model parameters, a JSON object as text.
        instructions: what stands before each prompt as the system's word.
        response_format: the JSON that an answer has to be.
        member: the member of that JSON which is the value; None: the whole answer is.
        shape: how that becomes the result.
        time_zone: the session's, a region or an offset.
        result_type: SQL type of an answer, as Spark's JSON; the `errorMessage` struct around it is not part of it.
        tags: constant request tags.
        inputs: the columns that Spark hands over, in order. A row whose condition is not true sends nothing.
        cache: the setting: what shares the answers of identical requests.
        details: whether a row's result also has the details of its call.
        record_type: of a STRUCT request that has FLOAT or DOUBLE in it, as Spark's JSON, where it is known.
        misfit_is_null: whether an answer that is not what was asked for is NULL, and no error.
        metadata: the envelope's member of that name, as JSON text; None: it has none.
        questions: of `ai_decide`, as JSON text.
        classifier: makes each row's instructions and response format of its labels, where these depend on data.
        bound: of the tokens of a chat answer, by its text; None: the model's own.
        confidences: whether each value of the answer has a `confidence_score`.
        optional: parameters without which a request is sent again where its service refuses them.
    """

    function: str
    service: Service
    parameters: str
    instructions: str | None
    response_format: ResponseFormat | None
    member: str | None
    shape: Shape
    result_type: str
    time_zone: str
    fail_on_error: bool
    tags: tuple[tuple[str, str], ...]
    inputs: tuple[Input, ...]
    cache: str
    runtime: RuntimeSettings
    caller: CallerSettings
    details: bool = False
    record_type: str | None = None
    misfit_is_null: bool = False
    metadata: str | None = None
    questions: str | None = None
    classifier: Classifier | None = None
    bound: OutputBound | None = None
    confidences: bool = False
    optional: frozenset[str] = frozenset()
