"""The function's body in Spark's Python workers: from Arrow columns to calls, from answers to an Arrow column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa
from pyspark import TaskContext

from gateway_batch.apis import task_of
from gateway_batch.batch import Window, answer_in_order
from gateway_batch.config import Credentials
from gateway_batch.errors import CallError, as_ai_function_error
from gateway_batch.packing import Embedder, PackedBatches, Vector
from gateway_batch.runtime import Runtime
from gateway_batch.spark.answers import column_writer
from gateway_batch.spark.plan import CallPlan
from gateway_batch.spark.rows import request_reader
from gateway_batch.spark.runtime import runtime_for
from gateway_batch.types import AnyRequest, InferenceResult, Task
from gateway_batch.usage.attempts import Caller
from gateway_batch.version import USER_AGENT

if TYPE_CHECKING:  # a client of Spark Connect has none
    from pyspark import Broadcast

FUNCTION = "ai_query"
SOURCE = "AI_QUERY"

_LANES_PER_SLOT = 2
_AHEAD = 16_384

Columns: TypeAlias = "pa.Array | tuple[pa.Array, ...]"
Batches = Iterator[list[Any]]


def make_function(
    plan: CallPlan, credentials: Broadcast[dict[str, str]] | None = None
) -> Callable[[Iterator[Columns]], Iterator[pa.Array]]:
    """The iterator Arrow UDF of one call. What it closes over is pickled into the plan.

    Args:
        plan: of the call.
        credentials: token values by reference; without them, references are resolved where the function runs.
    """

    def ai_query(batches: Iterator[Columns]) -> Iterator[pa.Array]:
        return run_partition(plan, Credentials(credentials.value if credentials is not None else None), batches)

    return ai_query


def run_partition(plan: CallPlan, credentials: Credentials, batches: Iterator[Columns]) -> Iterator[pa.Array]:
    """Answers a partition's rows, in order.

    Raises:
        AiFunctionError: with `fail_on_error`, the first failed row's.
    """
    runtime = runtime_for(plan.runtime, credentials)
    read, to_column = request_reader(plan), column_writer(plan)
    requests = (read(columns if isinstance(columns, tuple) else (columns,)) for columns in batches)
    answered = _answer_packed if task_of(plan.service.api) is Task.EMBEDDINGS else _answer_each
    try:
        for answers in answered(plan, runtime, requests):
            yield to_column(answers)
    except CallError as error:
        raise as_ai_function_error(error, plan.function) from None
    finally:
        runtime.end_task()


def _answer_each(plan: CallPlan, runtime: Runtime, batches: Batches) -> Batches:
    infer = _sender(plan, runtime)

    async def answer(request: AnyRequest | CallError) -> Any:
        if isinstance(request, CallError):
            raise request
        return (await infer(request)).value

    return answer_in_order(batches, answer, runtime.loop, _window(plan, rows_a_call=1))


def _answer_packed(plan: CallPlan, runtime: Runtime, batches: Batches) -> Batches:
    packed = PackedBatches(plan.pack_size)
    embedder = Embedder(_sender(plan, runtime), fail_fast=plan.fail_on_error)
    window = _window(plan, rows_a_call=plan.pack_size.texts)
    packs = (packed.split(rows) for rows in batches)
    for answers in answer_in_order(packs, embedder.embed, runtime.loop, window):
        yield packed.join(cast(list[list[Vector | CallError]], answers))  # a pack is never None, and never fails alone


def _sender(plan: CallPlan, runtime: Runtime) -> Callable[[AnyRequest], Any]:
    caller, client, service = _caller(plan), runtime.client, plan.service

    async def infer(request: AnyRequest) -> InferenceResult:
        return await client.infer(request, service, caller)

    return infer


def _window(plan: CallPlan, rows_a_call: int) -> Window:
    lanes = _LANES_PER_SLOT * plan.runtime.max_concurrency
    return Window(lanes=lanes, ahead=max(lanes, _AHEAD // rows_a_call), fail_fast=plan.fail_on_error)


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
