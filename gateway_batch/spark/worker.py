"""The function's body in Spark's Python workers: from Arrow columns to calls, from answers to an Arrow column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import orjson
import pyarrow as pa
from pyspark import Broadcast, TaskContext
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import _parse_datatype_json_string

from gateway_batch.apis import task_of
from gateway_batch.batch import Window, answer_in_order
from gateway_batch.config import Credentials
from gateway_batch.errors import AiFunctionError, CallError, as_ai_function_error
from gateway_batch.spark.casting import answer_reader
from gateway_batch.spark.plan import CallPlan
from gateway_batch.spark.runtime import runtime_for
from gateway_batch.types import AnyRequest, EmbeddingRequest, InferenceRequest, InferenceResult, Task
from gateway_batch.usage.attempts import Caller
from gateway_batch.version import USER_AGENT

FUNCTION = "ai_query"
SOURCE = "AI_QUERY"

_LANES_PER_SLOT = 2
_AHEAD = 16_384

Columns: TypeAlias = "pa.Array | tuple[pa.Array, ...]"


def make_function(
    plan: CallPlan, credentials: Broadcast[dict[str, str]]
) -> Callable[[Iterator[Columns]], Iterator[pa.Array]]:
    """The iterator Arrow UDF of one `ai_query`. What it closes over is pickled into the plan."""

    def ai_query(batches: Iterator[Columns]) -> Iterator[pa.Array]:
        return run_partition(plan, Credentials(credentials.value), batches)

    return ai_query


def run_partition(plan: CallPlan, credentials: Credentials, batches: Iterator[Columns]) -> Iterator[pa.Array]:
    """Answers a partition's rows, in order.

    Raises:
        AiFunctionError: with `fail_on_error`, the first failed row's.
    """
    runtime = runtime_for(plan.runtime, credentials)
    caller = _caller(plan)
    to_column = _column_maker(plan)
    window = Window(lanes=_LANES_PER_SLOT * plan.runtime.max_concurrency, ahead=_AHEAD, fail_fast=plan.fail_on_error)

    async def answer(call: Any) -> InferenceResult:
        return await runtime.client.infer(call, plan.service, caller)

    calls = (_calls(plan, columns if isinstance(columns, tuple) else (columns,)) for columns in batches)
    try:
        for answers in answer_in_order(calls, answer, runtime.loop, window):
            yield to_column(answers)
    except CallError as error:
        raise as_ai_function_error(error, FUNCTION) from None
    finally:
        runtime.end_task()


def _calls(plan: CallPlan, columns: tuple[pa.Array, ...]) -> list[AnyRequest | None]:
    """A batch's rows as calls; None where the request is NULL or the row's condition is not true."""
    rest = iter(columns[1:])
    tags = next(rest).to_pylist() if plan.has_tags else None
    wanted = next(rest).to_pylist() if plan.has_condition else None
    parameters, constant_tags = orjson.loads(plan.parameters), dict(plan.tags)
    embedding = task_of(plan.service.api) is Task.EMBEDDINGS

    def call(text: str, row: int) -> AnyRequest:
        row_tags = constant_tags if tags is None else _row_tags(constant_tags, tags[row])
        if embedding:
            return EmbeddingRequest((text,), parameters, row_tags)
        return InferenceRequest(text, parameters, row_tags)

    return [
        None if text is None or (wanted is not None and wanted[row] is not True) else call(text, row)
        for row, text in enumerate(columns[0].to_pylist())
    ]


def _row_tags(constant: dict[str, str], row: Iterable[tuple[str, str | None]] | None) -> dict[str, str]:
    """The configuration's tags, overridden by the row's; a tag without a value is left out."""
    return {**constant, **{key: value for key, value in row or () if value is not None}}


def _caller(plan: CallPlan) -> Caller:
    context = TaskContext.get()
    assert context is not None
    settings = plan.caller
    return Caller(
        source=SOURCE,
        user_agent=USER_AGENT,
        requester=settings.requester,
        account_id=settings.account_id,
        workspace_id=settings.workspace_id,
        application_id=settings.application_id,
        query_execution_id=context.getLocalProperty("spark.sql.execution.root.id"),
        stage_id=context.stageId(),
        partition_id=context.partitionId(),
        task_attempt=context.attemptNumber(),
    )


def _column_maker(plan: CallPlan) -> Callable[[list[Any]], pa.Array]:
    data_type = _parse_datatype_json_string(plan.result_type)
    read_value = answer_reader(data_type, plan.time_zone)
    embedding = task_of(plan.service.api) is Task.EMBEDDINGS
    read: Callable[[Any], Any] = (lambda value: read_value(value[0])) if embedding else read_value
    arrow_type = to_arrow_type(data_type, timezone="UTC")

    def values(answers: list[InferenceResult | None]) -> pa.Array:
        return pa.array([None if a is None else read(a.value) for a in answers], type=arrow_type)

    def results(answers: list[InferenceResult | CallError | None]) -> pa.Array:
        rows = [None if a is None else _result(a, read) for a in answers]
        struct = pa.struct([("result", arrow_type), ("errorMessage", pa.string())])
        return pa.array(rows, type=struct)

    return values if plan.fail_on_error else results


def _result(answer: InferenceResult | CallError, read: Callable[[Any], Any]) -> dict[str, Any]:
    if isinstance(answer, CallError):
        return {"result": None, "errorMessage": str(as_ai_function_error(answer, FUNCTION))}
    try:
        return {"result": read(answer.value), "errorMessage": None}
    except AiFunctionError as error:
        return {"result": None, "errorMessage": str(error)}
