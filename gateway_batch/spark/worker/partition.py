"""The function's body in Spark's Python workers: from Arrow columns to calls, from answers to an Arrow column."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pyarrow as pa
from pyspark import TaskContext

from gateway_batch.apis import task_of
from gateway_batch.config import Credentials
from gateway_batch.engine.concurrency_window import ConcurrencyWindow, answer_in_order
from gateway_batch.engine.embedding_batches import BatchedRows, BatchEmbedder, BatchSize, Vector, vectors_of
from gateway_batch.engine.runtime import Runtime
from gateway_batch.errors import CallError, as_ai_function_error
from gateway_batch.response_cache import KEPT, InFlightRequests, KeyMaker, SingleFlight
from gateway_batch.spark.calls.call_plan import CallPlan
from gateway_batch.spark.calls.scope import query_of, scope_of
from gateway_batch.spark.worker.answers import NULL, Formatted, column_writer
from gateway_batch.spark.worker.call_details import DETAILED, with_details
from gateway_batch.spark.worker.cancelling import HEARTBEAT_S, ended_by_exception, flusher
from gateway_batch.spark.worker.confidences import SCORED, with_confidences
from gateway_batch.spark.worker.kept_values import fits_of
from gateway_batch.spark.worker.limited import in_pieces, rows_wanted
from gateway_batch.spark.worker.rows import request_reader
from gateway_batch.spark.worker.task_counts import TaskCounts
from gateway_batch.spark.worker.worker_runtime import runtime_for
from gateway_batch.types import AnyRequest, EmbeddingRequest, InferenceRequest, InferenceResult, RecordRequest, Task
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.task_summary import task_line
from gateway_batch.version import USER_AGENT

if TYPE_CHECKING:  # a client of Spark Connect has none
    from pyspark import Broadcast

FUNCTION = "ai_query"
SOURCE = "AI_QUERY"

_AHEAD = 16_384

# Local properties that Databricks sets on the jobs of a workflow or a notebook. `runId` is the task's run.
_JOB, _JOB_RUN = "spark.databricks.job.id", "spark.databricks.job.parentRunId"
_TASK_RUN, _NOTEBOOK = "spark.databricks.job.runId", "spark.databricks.notebook.path"

Columns: TypeAlias = "pa.Array | tuple[pa.Array, ...]"
Batches = Iterator[list[Any]]
Answers = Generator[list[Any] | None, None, None]
"""None: there are none yet."""


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
    """Answers a partition's rows, in order; closed or not read any more, it ends what is in flight and records it.

    Yields:
        A column for each of `batches`, and columns of no rows between them (`cancelling`).

    Raises:
        AiFunctionError: with `fail_on_error`, the first failed row's.
    """
    runtime = runtime_for(plan.runtime, credentials)
    caller = _caller(plan)
    counts = TaskCounts(plan, caller)
    read, to_column = request_reader(plan), column_writer(plan, counts.failed)
    wanted, columns = rows_wanted((each if isinstance(each, tuple) else (each,) for each in batches), len(plan.inputs))
    answer_batches = _answer_packed if task_of(plan.service.api) is Task.EMBEDDINGS else _answer_each
    flush = flusher()
    with ended_by_exception():
        try:
            counts.watch(single_flight := _single_flight(plan, runtime))
            answered = partial(answer_batches, Call(plan, runtime, caller, single_flight, counts))
            requests = map(read, columns)
            found = answered(requests) if wanted is None else in_pieces(answered, requests, wanted)
            with contextlib.closing(found) as batches_of_answers:
                for answers in batches_of_answers:
                    column = to_column(answers or [])
                    counts.rows += len(column)
                    yield column
                    flush()
            counts.complete = True
        except CallError as error:
            counts.failed[error.kind.value] += 1
            raise as_ai_function_error(error, plan.function) from None
        finally:
            runtime.end_task(task_line(counts.summary()) if counts.has_done_anything else None)


@dataclass(frozen=True)
class Call:
    """One call of the function in a task, and what it works with."""

    plan: CallPlan
    runtime: Runtime
    caller: Caller
    single_flight: SingleFlight | None
    counts: TaskCounts

    def deadline(self) -> float:
        """Of a row that is taken up now, by the loop's clock; called on the loop."""
        return self.runtime.loop.time() + self.plan.runtime.row_deadline_s


def _answer_each(call: Call, batches: Batches) -> Answers:
    plan, single_flight, infer = call.plan, call.single_flight, _sender(call)
    keys = KeyMaker(plan.service, kept_as=DETAILED if plan.details else SCORED if plan.confidences else "")
    fits = fits_of(task_of(plan.service.api), details=plan.details, confidences=plan.confidences)
    keep = with_details if plan.details else with_confidences if plan.confidences else None
    in_flight = InFlightRequests()

    async def value_of(request: InferenceRequest | RecordRequest, deadline: float) -> Any:
        result = await infer(request, deadline)
        return result.value if keep is None else keep(result)

    async def alone(request: InferenceRequest | RecordRequest, deadline: float) -> Any:
        call.counts.sent += 1
        try:
            return await value_of(request, deadline)
        except CallError as error:
            call.counts.sent -= not error.was_sent
            raise

    async def answer(request: InferenceRequest | RecordRequest | CallError) -> Any:
        value = await shared(request)
        if value is None:
            return NULL
        if plan.classifier is not None and isinstance(request, InferenceRequest):
            return Formatted(value, request.response_format)
        return value

    async def shared(request: InferenceRequest | RecordRequest | CallError) -> Any:
        if isinstance(request, CallError):
            raise request
        deadline = call.deadline()
        if single_flight is None:
            return await alone(request, deadline)
        try:
            return await single_flight.answer(keys.of(request), in_flight.send, value_of, request, deadline, fits=fits)
        except CallError as error:
            if plan.fail_on_error and error.kind in KEPT:
                await in_flight.end()
            raise

    return answer_in_order(batches, answer, call.runtime.loop, _window(plan, rows_a_call=1))


def _answer_packed(call: Call, batches: Batches) -> Answers:
    plan, single_flight, infer = call.plan, call.single_flight, _sender(call)
    batched, keys = BatchedRows(BatchSize(plan.service.embedding_rows)), KeyMaker(plan.service)
    fits = fits_of(Task.EMBEDDINGS, details=False)
    in_flight = InFlightRequests()

    async def counted(request: EmbeddingRequest, deadline: float | None) -> InferenceResult:
        if single_flight is None:
            return await infer(request, deadline)
        single_flight.requests += 1
        try:
            return await infer(request, deadline)
        except CallError as error:
            single_flight.requests -= not error.was_sent
            raise

    embedder = BatchEmbedder(counted, vectors_of)

    async def answer(request: EmbeddingRequest) -> list[Vector | CallError]:
        answers = await (alone(request) if single_flight is None else once(request, single_flight))
        failure = next((answer for answer in answers if isinstance(answer, CallError)), None)
        if failure is not None and plan.fail_on_error:  # only now: what its neighbours got is kept
            if failure.kind in KEPT:
                await in_flight.end()
            raise failure
        return answers

    async def alone(request: EmbeddingRequest) -> list[Vector | CallError]:
        call.counts.sent += len(request.texts)
        answers = await embedder.embed(request, call.deadline())
        call.counts.sent -= sum(isinstance(answer, CallError) and not answer.was_sent for answer in answers)
        return answers

    async def once(request: EmbeddingRequest, single_flight: SingleFlight) -> list[Vector | CallError]:
        deadline = call.deadline()

        async def embed(places: Sequence[int]) -> Sequence[Vector | CallError]:
            texts = tuple(request.texts[place] for place in places)
            return await in_flight.send(embedder.embed, replace(request, texts=texts), deadline)

        return await single_flight.answer_all(keys.of_texts(request), embed, fits)

    batches = (batched.split(rows) for rows in batches)
    window = _window(plan, rows_a_call=plan.service.embedding_rows)
    for answers in answer_in_order(batches, answer, call.runtime.loop, window):
        if answers is None:
            yield None
            continue
        # A request batch is never None, and never fails alone.
        of_rows = batched.join(cast(list[list[Vector | CallError]], answers))
        unsendable = next((answer for answer in of_rows if isinstance(answer, CallError)), None)
        if unsendable is not None and plan.fail_on_error:
            raise unsendable
        yield of_rows


def _sender(call: Call) -> Callable[[AnyRequest, float | None], Awaitable[InferenceResult]]:
    caller, client, service = call.caller, call.runtime.client, call.plan.service

    async def infer(request: AnyRequest, deadline: float | None) -> InferenceResult:
        return await client.infer(request, service, caller, deadline)

    return infer


def _single_flight(plan: CallPlan, runtime: Runtime) -> SingleFlight | None:
    scope = scope_of(_task(), plan.caller.application_id, plan.cache)
    return None if scope is None else runtime.single_flight(scope)


def _window(plan: CallPlan, rows_a_call: int) -> ConcurrencyWindow:
    workers = plan.runtime.workers
    return ConcurrencyWindow(
        workers=workers,
        read_ahead=max(workers, _AHEAD // rows_a_call),
        fail_fast=plan.fail_on_error,
        heartbeat_s=HEARTBEAT_S,
    )


def _caller(plan: CallPlan) -> Caller:
    context, settings = _task(), plan.caller
    task_run_id = context.getLocalProperty(_TASK_RUN) or None
    return Caller(
        source=SOURCE,
        user_agent=USER_AGENT,
        requester=settings.requester,
        account_id=settings.account_id,
        workspace_id=settings.workspace_id,
        application_id=settings.application_id,
        query_execution_id=query_of(context),
        stage_id=context.stageId(),
        partition_id=context.partitionId(),
        task_attempt=context.attemptNumber(),
        job_id=context.getLocalProperty(_JOB) or None,
        job_run_id=context.getLocalProperty(_JOB_RUN) or task_run_id,
        task_run_id=task_run_id,
        notebook_path=context.getLocalProperty(_NOTEBOOK) or None,
    )


def _task() -> TaskContext:
    context = TaskContext.get()
    assert context is not None
    return context
