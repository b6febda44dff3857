"""The batch job: rows that are new, changed or failed for the time being are answered, and committed chunk by chunk.

If a run dies, the next run resumes it: what is committed is not pending any more, and what was answered but not
committed is in the engine's cache, under the run's id. So a kill pays again for at most what was in flight.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.config import GatewayConfig, check_table_name, resolve_service
from gateway_batch.errors import ConfigError
from gateway_batch.jobs import history
from gateway_batch.jobs import output as tables
from gateway_batch.jobs.chunk_counts import count_answers
from gateway_batch.jobs.fail_if import FailIf
from gateway_batch.jobs.pending_rows import (
    UNSENT,
    RowInputs,
    answers_sql,
    chunks_of,
    counts_sql,
    fingerprint,
    key_columns,
    pending_keys,
    pending_sql,
    repeated_sql,
)
from gateway_batch.jobs.progress import NotebookBar, in_notebook
from gateway_batch.jobs.progress_reporter import ProgressReporter
from gateway_batch.jobs.report import BatchReport, Chunk, Status, added
from gateway_batch.jobs.source import check_keys, read_source
from gateway_batch.jobs.template import prompt_sql, quoted_column
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.spark import functions
from gateway_batch.spark.calls.scope import remove_run
from gateway_batch.spark.delta_tables.conflicts import commit, is_conflict
from gateway_batch.spark.files.bad_input import BadInput, faults_for
from gateway_batch.spark.gateway import Gateway, register_ai_query
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS, is_classic
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.spark.session.temporary_view import as_view

CHUNK_ROWS = 20_000

_ANSWER = "_answer"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchJob:
    """What is asked for which rows, and where the answers go.

    Attributes:
        source: a DataFrame, a query, the name of a table or view, or the path of a CSV, JSON-lines, Parquet or Delta
            file or folder.
        output: the Delta table of the answers, one row for each key; made, if it is missing.
        keys: columns that identify the source's rows, of any name; one that has an answer's, such as `result`, is
            `key_result` in the output.
        endpoint: as of `ai_query`.
        prompt: a template, such as `Summarize: {body}`; a row in which a named column is NULL sends nothing.
        request: a SQL expression in its place.
        files: a SQL expression for a file that goes with each prompt: an image or a PDF, as of `ai_query`.
        system_prompt: what stands before each prompt as the system's word.
        request_tags: a dict, or a SQL expression of type MAP.
        return_type, response_format, model_parameters, api: as of `ai_query`.
        bad_input: what becomes of rows of a CSV file, and lines of a JSON file, that can't be read: `fail` refuses the
            job, and names the first; `skip` leaves them out, and counts them in the report.
    """

    source: str | Path | DataFrame
    output: str
    keys: Sequence[str]
    endpoint: str
    prompt: str | None = None
    request: str | None = None
    files: str | None = None
    system_prompt: str | None = None
    request_tags: Mapping[str, str] | str | None = None
    return_type: str | None = None
    response_format: str | None = None
    model_parameters: Mapping[str, Any] | None = None
    api: str | None = None
    bad_input: str = BadInput.FAIL

    @property
    def constants(self) -> dict[str, Any]:
        """The arguments that are the same for all rows; rows are asked again where one is another now."""
        constants = {
            "endpoint": self.endpoint,
            "return_type": self.return_type,
            "response_format": self.response_format,
            "model_parameters": dict(self.model_parameters or {}),
            "api": self.api,
        }
        if self.system_prompt is None:  # so that answers of earlier versions, which had none, hold
            return constants
        return {**constants, "system_prompt": self.system_prompt}

    def inputs(self, columns: Sequence[str], model: str | None = None) -> RowInputs:
        """What a call takes from each row.

        Args:
            columns: of the source.
            model: behind the endpoint, where that isn't its name: rows are asked again where it is another now.

        Raises:
            ConfigError: prompt and request are given both, or neither.
        """
        if (self.prompt is None) is (self.request is None):
            raise ConfigError("prompt or request: give one of them, a template or a SQL expression")
        request = self.request if self.prompt is None else prompt_sql(self.prompt, columns)
        assert request is not None
        tags = self.request_tags if isinstance(self.request_tags, str) else None
        constants = self.constants if model in (None, self.endpoint) else {**self.constants, "model": model}
        return RowInputs(request, self.files, tags, fingerprint(constants))


def run_batch(
    spark: SparkSession,
    job: BatchJob,
    config: GatewayConfig | None = None,
    *,
    retry_errors: bool = False,
    max_rows: int | None = None,
    fail_if: str | None = None,
    chunk_rows: int = CHUNK_ROWS,
    sample: int | None = None,
    on_progress: Callable[[BatchReport], None] | None = None,
) -> BatchReport:
    """Answers the rows of a source that are new, that ask something else now, or that failed for the time being.

    Each chunk is one commit. Rows that disappeared from the source keep their answers. One run of an output at a time.

    Args:
        spark: a session with Delta.
        job: what is asked.
        config: settings; None reads the environment. Their `cache` is not used.
        retry_errors: whether rows are tried again whose error would repeat itself.
        max_rows: rows to answer at most.
        fail_if: a condition such as `error_rate > 0.05`, looked at after each chunk: the run ends where it holds.
        chunk_rows: rows of a commit. All answers of a chunk are kept on Spark's disks until then.
        sample: distinct requests at most, as good as chosen at random, with all their rows.
        on_progress: is called with the run's report, after each chunk and once a second, one call at a time, from
            threads of its own too; None: in a notebook a bar is shown, elsewhere nothing.

    Returns:
        What was done. With `fail_if` or a spent budget the rest is left for the next run.

    Raises:
        ConfigError: something about the job is wrong; nothing was sent.
        PySparkException: the source can't be read, or the output can't be written.
    """
    condition = None if fail_if is None else FailIf.parse(fail_if)
    for name, value in (("max_rows", max_rows), ("chunk_rows", chunk_rows)):
        if value is not None and value < 1:
            raise ConfigError(f"{name}: {value} is not a number of rows")
    settings = config or GatewayConfig.from_env()
    _check_output(job)
    service = resolve_service(settings, job.endpoint, job.api)
    started_at, began = datetime.now(UTC), time.monotonic()
    faults = faults_for(job.bad_input)
    source = read_source(spark, job.source, faults)
    if faults.count:
        _log.warning("%s: %s", job.output, faults)
    keys = check_keys(source, list(job.keys))
    inputs = job.inputs(source.columns, service.model)
    run_id = tables.unfinished_run(spark, job.output) or uuid.uuid4().hex[:12]
    cache = f"run:batch-{run_id}"
    settings = settings.model_copy(update={"cache": cache})
    pending = partial(
        pending_sql,
        keys=keys,
        inputs=inputs,
        chunk_rows=chunk_rows,
        retry_errors=retry_errors,
        max_rows=max_rows,
        sample=sample,
    )
    with contextlib.ExitStack() as stack:
        function = f"gateway_batch_run_{uuid.uuid4().hex}"
        gateway = stack.enter_context(register_ai_query(spark, settings, function, tasks=False))
        run = _Run(spark, job, gateway, keys, inputs)
        has_answers = spark.catalog.tableExists(quoted(job.output))
        run.make_output(source, partial(pending, output=None))
        stack.enter_context(tables.one_run(spark, job.output))
        whole = not has_answers and max_rows is None and sample is None
        counts = run.plan(source, run_id, partial(pending, output=quoted(job.output)), whole=whole)
        report = BatchReport(job.output, run_id, sum(rows for _, rows in counts), started_at, skipped=faults.count)
        shown = NotebookBar().update if on_progress is None and in_notebook() else on_progress
        with (
            ProgressReporter(report, gateway.usage.spool_dir, shown, began) as reporter,
            history.kept(spark, settings.usage_table, lambda: reporter.report),
        ):
            status = Status.COMPLETED
            groups = chunks_of(counts, chunk_rows)
            with contextlib.closing(run.answer(groups)) as chunks:
                for chunk in chunks:
                    report = reporter.report_chunk(**added(reporter.report, chunk), **run.requests())
                    if chunk.unsent:
                        status = Status.BUDGET
                    elif condition is not None and condition.holds(report.measures):
                        status = Status.FAIL_IF
                    if status is not Status.COMPLETED:
                        break
            if status is Status.COMPLETED:
                tables.drop_pending(spark, job.output)
                remove_run(cache)
            return reporter.report_chunk(status=status)


class _Run:
    """A run's way from pending rows to committed answers."""

    def __init__(
        self, spark: SparkSession, job: BatchJob, gateway: Gateway, keys: list[str], inputs: RowInputs
    ) -> None:
        self._spark = spark
        self._job = job
        self._gateway = gateway
        self._keys = keys
        self._inputs = inputs
        self._before = gateway.total()
        service = resolve_service(gateway.config, job.endpoint, job.api)
        self._price = service.price or list_price(service.model)

    def make_output(self, source: DataFrame, pending: Callable[[str], str]) -> None:
        """Makes the output table, if it is missing.

        Args:
            source: the source's rows.
            pending: from the name of their view to the query for those to be answered.

        Raises:
            ConfigError: an expression is wrong, or the table is another's.
        """
        with _planning(source) as view:
            answers = self._answers(self._spark.sql(pending(view)))
            tables.make_output(self._spark, self._job.output, answers.schema)

    def plan(
        self, source: DataFrame, run_id: str, pending: Callable[[str], str], *, whole: bool
    ) -> list[tuple[int, int]]:
        """Writes down which rows are to be answered; returns numbers and rows of their chunks.

        Args:
            source: the source's rows.
            run_id: of the run.
            pending: from the name of their view to the query for those to be answered.
            whole: whether these are all of the source's rows, so that their keys need no look at the source.

        Raises:
            ConfigError: two rows have the same key.
        """
        with _planning(source) as view:
            if not whole:
                self._check_keys(view, list(map(quoted_column, self._keys)))
            tables.write_pending(self._spark, self._job.output, run_id, pending(view))
        chunks = self._spark.sql(counts_sql(self._pending_table, self._keys)).collect()
        if any(row["most"] > 1 for row in chunks):  # the source changed meanwhile, or is another at each reading
            self._check_keys(self._pending_table, pending_keys(self._keys))
        return sorted((row["chunk"], row["rows"]) for row in chunks)

    def answer(self, groups: Sequence[Sequence[int]]) -> Generator[Chunk, None, None]:
        """Answers groups of chunks, and yields what became of each; closed, it has committed what it answered.

        A group is committed while the next is being answered.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="gateway_batch_commit") as pool:
            commit: Future[None] | None = None
            try:
                for group in groups:
                    answers, chunk = self._answered(group)
                    if commit is not None:
                        commit.result()
                    commit = pool.submit(self._commit, group, answers)
                    yield chunk
            except KeyboardInterrupt:  # Spark's jobs are cancelled, and so the commit may be
                commit = None
                raise
            finally:
                if commit is not None:
                    commit.result()

    def requests(self) -> dict[str, int]:
        """Requests that this run sent, and that it did not send as their answers were there."""
        now, before = self._gateway.total(), self._before
        return {"requests": now.requests - before.requests, "saved": now.saved - before.saved}

    def _answered(self, group: Sequence[int]) -> tuple[DataFrame, Chunk]:
        """A group's answers, kept by Spark's executors, and their counts.

        They are kept as a checkpoint, as a MERGE does not know a plan that is persisted, and would call the function
        again. An executor that dies takes its part along; then all are asked again, of the engine's cache.
        """
        try:
            return self._keep(group)
        except WRITE_ERRORS:
            return self._keep(group)

    def _keep(self, group: Sequence[int]) -> tuple[DataFrame, Chunk]:
        answers = self._asked(group).localCheckpoint()
        return answers, count_answers(answers, has_price=self._price is not None)

    def _asked(self, group: Sequence[int]) -> DataFrame:
        rows = self._pending().where(F.col("chunk").isin(list(group)))
        return self._answers(rows.repartition(self._parallelism))

    def _commit(self, group: Sequence[int], answers: DataFrame) -> None:
        try:
            self._merge(answers)
        except WRITE_ERRORS as error:
            if is_conflict(error):  # the pending rows and the kept answers stay for the next run
                raise
            self._merge(self._asked(group))

    def _merge(self, answers: DataFrame) -> None:
        sent = answers.where(~F.coalesce(F.col("error_kind").isin(*UNSENT), F.lit(False)))
        commit(lambda: tables.merge(self._spark, self._job.output, key_columns(self._keys), sent))

    def _answers(self, pending: DataFrame) -> DataFrame:
        """Pending rows as rows of the output table."""
        job, columns = self._job, self._inputs.columns
        tags: Column | Mapping[str, str] | None = None
        if "tags" in columns:
            tags = F.col("tags")
        elif isinstance(job.request_tags, Mapping):
            tags = job.request_tags
        answer = functions.ai_query(
            job.endpoint,
            F.col("request"),
            job.return_type,
            failOnError=False,
            modelParameters=job.model_parameters,
            responseFormat=job.response_format,
            files=F.col("files") if "files" in columns else None,
            requestTags=tags,
            api=job.api,
            details=True,
            systemPrompt=job.system_prompt,
            registration=self._gateway.name,
        )
        asked = pending.select(*pending_keys(self._keys), "request_hash", answer.alias(_ANSWER))
        return asked.selectExpr(*answers_sql(self._keys, _ANSWER, self._price))

    def _pending(self) -> DataFrame:
        return self._spark.table(self._pending_table)

    def _check_keys(self, rows: str, columns: list[str]) -> None:
        """Refuses rows of which two have the same key; `columns` have the keys, quoted."""
        for *found, count in self._spark.sql(repeated_sql(rows, columns)).head(1):
            values = ", ".join(f"{key} = {value!r}" for key, value in zip(self._keys, found, strict=True))
            if rows == self._pending_table:
                tables.drop_pending(self._spark, self._job.output)
            raise ConfigError(f"keys: {count:,} rows of the source have {values}: name columns that identify its rows")

    @property
    def _pending_table(self) -> str:
        return quoted(tables.pending_table(self._job.output))

    @property
    def _parallelism(self) -> int:
        return self._spark.sparkContext.defaultParallelism if is_classic(self._spark) else 8


@contextlib.contextmanager
def _planning(source: DataFrame) -> Iterator[str]:
    """The source as a view; what is wrong with the job's expressions is said as that."""
    try:
        with as_view(source) as view:
            yield view
    except (AnalysisException, IllegalArgumentException) as error:
        raise ConfigError(f"the job can't be planned: {first_line(error)}") from None


def _check_output(job: BatchJob) -> None:
    try:
        check_table_name(job.output)
    except ValueError as error:
        raise ConfigError(f"output: {job.output!r} {error}") from None
    if isinstance(job.source, str) and job.source.lower() == job.output.lower():
        raise ConfigError(f"output: {job.output} is the source itself: give another table")
