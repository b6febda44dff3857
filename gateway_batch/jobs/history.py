"""The table `ai_batch_runs`, next to the usage table: the last report of each run of a batch job."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.jobs.report import BatchReport, Status
from gateway_batch.spark.delta_tables.creation import add_columns, make_table
from gateway_batch.spark.functions import ddl_of
from gateway_batch.spark.ledger.task_table import sibling_table
from gateway_batch.spark.session.local_rows import frame_of
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import literal, quoted

NAME = "ai_batch_runs"

_COMMENT = "The last report of each run of a batch job that was not killed, by gateway_batch."
_USD = t.DecimalType(24, 12)
_COLUMNS: dict[str, tuple[t.DataType, str]] = {
    "run_id": (t.StringType(), "Of the run and of the interrupted ones that it went on from."),
    "output": (t.StringType(), "The output table."),
    "status": (
        t.StringType(),
        "completed; fail_if: the condition held; budget: it was spent; interrupted: by Ctrl-C; failed: by an error.",
    ),
    "planned": (t.LongType(), "Rows that were to be answered."),
    "rows": (t.LongType(), "Of these, in the output table, failed ones among them."),
    "left": (t.LongType(), "Rows that the next run begins with."),
    "skipped": (t.LongType(), "Rows of the source's file that can't be read and were left out."),
    "failed_rows": (t.LongType(), "Rows with an error."),
    "errors": (t.MapType(t.StringType(), t.LongType()), "Failed rows by kind of error."),
    "cut_off": (t.LongType(), "Rows whose answer a limit cut off, failed ones among them."),
    "filtered": (t.LongType(), "Rows that a filter or the model itself withheld the answer from, or a part of it."),
    "empty": (t.LongType(), "Rows with an answer that is an empty text; they count as answered."),
    "requests": (t.LongType(), "Requests that were sent, each once however often it was tried."),
    "saved": (t.LongType(), "Requests that were not sent, as their answer was there; of an embedding service, rows."),
    "input_tokens": (t.LongType(), "Tokens of the prompts of the rows."),
    "output_tokens": (t.LongType(), "Tokens of their answers."),
    "cost_usd": (_USD, "US dollars of both; NULL where no price is known."),
    "started_at": (t.TimestampType(), "When the run began, planning included."),
    "ended_at": (t.TimestampType(), "When it ended."),
    "seconds": (t.DoubleType(), "Between the two."),
}

_NEWER = frozenset({"skipped", "cut_off", "filtered", "empty"})
"""Columns that tables of earlier versions lack."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def kept(spark: SparkSession, usage_table: str, newest: Callable[[], BatchReport]) -> Iterator[None]:
    """Keeps the last report of the run inside, however it ends. If the session may not write it, a warning says so.

    Args:
        spark: the run's session.
        usage_table: the usage table's name; the runs' table is in its schema, and made if it is missing.
        newest: returns the run's newest report.
    """
    otherwise: Status | None = Status.FAILED
    try:
        yield
        otherwise = None
    except KeyboardInterrupt:
        otherwise = Status.INTERRUPTED
        raise
    finally:
        report = newest()
        try:
            _append(
                spark,
                sibling_table(usage_table, NAME),
                report if otherwise is None else replace(report, status=otherwise),
            )
        except WRITE_ERRORS as error:
            _log.warning("the run of %s has no row in %s: %s", report.output, NAME, first_line(error))


def _append(spark: SparkSession, table: str, report: BatchReport) -> None:
    described = ",\n".join(f"  {_described(name)}" for name in _COLUMNS)
    make_table(
        spark,
        table,
        f"CREATE TABLE IF NOT EXISTS {quoted(table)} (\n{described}\n)\nUSING DELTA\nCOMMENT {literal(_COMMENT)}",
    )
    _add_missing_columns(spark, table)
    left_out = _NEWER - set(spark.table(quoted(table)).columns)
    names = [name for name in _COLUMNS if name not in left_out]
    schema = t.StructType([t.StructField(name, _COLUMNS[name][0]) for name in names])
    frame_of(spark, [_row(report)], schema).writeTo(quoted(table)).append()


def _add_missing_columns(spark: SparkSession, table: str) -> None:
    """Adds the columns that a table of an earlier version lacks, where the session may; leaves other tables alone."""
    have = set(spark.table(quoted(table)).columns)
    if have >= set(_COLUMNS) - _NEWER:
        missing = [_described(name) for name in _COLUMNS if name in _NEWER - have]
        if missing:
            with contextlib.suppress(*WRITE_ERRORS):
                add_columns(spark, table, missing)


def _described(name: str) -> str:
    data_type, comment = _COLUMNS[name]
    return f"{name} {ddl_of(data_type)} COMMENT {literal(comment)}"


def _row(report: BatchReport) -> dict[str, Any]:
    cost, ended_at = report.cost_usd, datetime.now(UTC)
    return {
        **report.as_json(),
        "errors": list(report.errors.items()),
        "cost_usd": None if cost is None else Decimal(cost).quantize(Decimal(1).scaleb(-_USD.scale)),
        "started_at": report.started_at,
        "ended_at": ended_at,
        "seconds": (ended_at - report.started_at).total_seconds(),
    }
