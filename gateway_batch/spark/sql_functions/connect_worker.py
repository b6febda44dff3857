"""The Python function behind the SQL functions of a Spark Connect session: it makes the plan where it runs.

Its columns are made in `connect_sql`. Answers are text: a function of SQL has one type for all calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as t

from gateway_batch.apis import task_of
from gateway_batch.config import Credentials, resolve_service
from gateway_batch.errors import AiFunctionError, connect_error
from gateway_batch.spark.calls.ai_functions import TASKS
from gateway_batch.spark.calls.call_plan import CallPlan, Input
from gateway_batch.spark.calls.planning import CONSTANTS, Planner
from gateway_batch.spark.calls.signature import AI_QUERY, Constants, constant_of, mismatch
from gateway_batch.spark.sql_functions.connect_sql import FUNCTION_KEY, NO_FILE, VARIANTS
from gateway_batch.spark.worker.partition import run_partition
from gateway_batch.types import JsonObject, Task

Columns = tuple[pa.Array, ...]
ReadColumns = Callable[[Columns], Columns]

_TASKS = {task.name: task for task in TASKS}


def make_planning_function(planner: Planner) -> Callable[[Iterator[Columns]], Iterator[pa.Array]]:
    """The iterator Arrow UDF of a registration. What it closes over is pickled into the plan."""

    def ai_query(batches: Iterator[Columns]) -> Iterator[pa.Array]:
        return answer_texts(planner, batches)

    return ai_query


def answer_texts(planner: Planner, batches: Iterator[Columns]) -> Iterator[pa.Array]:
    """Plans a partition's call by its first row's constants, and answers its rows, in order.

    Raises:
        AiFunctionError: an argument is wrong, or a constant is none; with `failOnError`, the first failed row's.
        ConfigError: the endpoint can't be resolved.
    """
    first = next((batch for batch in batches if len(batch[0])), None)
    if first is None:
        return
    written = first[0][0].as_py()
    constants = orjson.loads(written)
    function = constants[FUNCTION_KEY]
    plan, read, finish = (
        _ai_query(planner, constants, first) if function == AI_QUERY.function else _task(planner, constants)
    )
    columns = (read(_checked(batch, written, constants)) for batch in itertools.chain((first,), batches))
    for answers in run_partition(plan, Credentials(), columns):
        yield finish(answers)


def no_ddl(ddl: str) -> t.DataType:
    """The planner's `parse_type` here, where nothing parses DDL: only `responseFormat` comes to it."""
    error_class = "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING"
    raise connect_error(error_class, function=AI_QUERY.function, text=ddl)


def utc() -> str:
    """The planner's `time_zone` here: no answer is read as a time."""
    return "UTC"


Call = tuple[CallPlan, ReadColumns, Callable[[pa.Array], pa.Array]]


def _ai_query(planner: Planner, given: JsonObject, first: Columns) -> Call:
    _check_return_type(given.pop("returnType", None))
    given["modelParameters"] = _parameters(given.get("modelParameters"))
    _, requests, files, _, _ = first
    has_files = files[0].as_py() != NO_FILE
    inputs = (Input.REQUEST, Input.TAGS, Input.CONDITION, *((Input.FILES,) if has_files else ()))
    constants = _constants(AI_QUERY.function, CONSTANTS, given)
    record = _is_record(planner, constants, requests)
    planned = planner.ai_query(constants, inputs, record=record)

    def read(columns: Columns) -> Columns:
        _, requests, files, tags, condition = columns
        texts = requests if record else _texts(requests, AI_QUERY.function, "request")
        return (texts, tags, condition, *((files,) if has_files else ()))

    return planned.plan, read, _as_it_is


def _task(planner: Planner, given: JsonObject) -> Call:
    task = _TASKS[given[FUNCTION_KEY]]
    planned = planner.task(task, _constants(task.name, task.constants, given))

    def read(columns: Columns) -> Columns:
        contents = zip(task.contents, columns[1:], strict=True)
        texts = [_texts(column, task.name, name, objects=True) for name, column in contents]
        if len(texts) == 1:
            return (texts[0],)
        pairs = zip(*(column.to_pylist() for column in texts), strict=True)
        return (pa.array([list(pair) for pair in pairs], type=pa.list_(pa.string())),)

    needs_quotes = task.name in VARIANTS and not planned.plan.shape.is_envelope
    return planned.plan, read, _quoted if needs_quotes else _as_text


def _checked(columns: Columns, written: str, constants: JsonObject) -> Columns:
    """The columns, if each row has the constants of the first."""
    different = pc.index(pc.equal(columns[0], written), False).as_py()
    if different < 0:
        return columns
    others = orjson.loads(columns[0][different].as_py())
    name = next(name for name in {**constants, **others} if constants.get(name) != others.get(name))
    raise AiFunctionError(
        "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
        f"The argument {name} of {constants[FUNCTION_KEY]} must be a constant, but it differs from row to row. "
        "Write a literal, a session variable or a parameter marker.",
    )


def _constants(function: str, names: tuple[str, ...], given: JsonObject) -> Constants:
    return Constants(function, {name: constant_of(given.get(name)) for name in names})


def _check_return_type(given: Any) -> None:
    if given is None or (isinstance(given, str) and given.strip().upper() == "STRING"):
        return
    if not isinstance(given, str):
        raise mismatch(AI_QUERY.function, "returnType", "STRING", constant_of(given).sql_type)
    raise connect_error("AI_FUNCTION_UNSUPPORTED_RETURN_TYPE", function=AI_QUERY.function, text=given)


def _parameters(given: Any) -> Any:
    """Model parameters as they are, or from JSON text, as a STRUCT can't be passed."""
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError as error:
        error_class = "AI_FUNCTION_INVALID_MODEL_PARAMETERS.INVALID_PARAMETER_DATA_TYPE"
        raise connect_error(error_class, function=AI_QUERY.function, error=error) from None


def _is_record(planner: Planner, constants: Constants, requests: pa.Array) -> bool:
    """Whether requests are STRUCTs: by the first that there is, else as the endpoint wants them."""
    written = next((request for request in requests.to_pylist() if request is not None), None)
    if written is not None:
        return bool(written.startswith("{"))
    service = resolve_service(planner.config, constants.required_text("endpoint"), constants.text("api"))
    return task_of(service.api) is Task.SCORING


def _texts(column: pa.Array, function: str, name: str, *, objects: bool = False) -> pa.Array:
    """Texts from their JSON; numbers, truth values and, where they may come, objects as JSON writes them."""
    refused = list if objects else list | dict
    return pa.array([_text(written, function, name, refused) for written in column.to_pylist()], type=pa.string())


def _text(written: str | None, function: str, name: str, refused: type | UnionType) -> str | None:
    if written is None:
        return None
    value = orjson.loads(written)
    if isinstance(value, refused):
        raise mismatch(function, name, "STRING", constant_of(value).sql_type)
    return value if value is None or isinstance(value, str) else written


def _as_it_is(answers: pa.Array) -> pa.Array:
    return answers


def _as_text(answers: pa.Array) -> pa.Array:
    return pc.cast(answers, pa.string())


def _quoted(answers: pa.Array) -> pa.Array:
    """Text as JSON text, for `parse_json`."""
    quoted = [None if answer is None else orjson.dumps(answer).decode() for answer in answers.to_pylist()]
    return pa.array(quoted, type=pa.string())
