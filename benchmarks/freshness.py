"""How soon after a small query its usage can be read in the table: with a flush, and with no call at all."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.children import running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.session import letters, recorded, register, spark_session
from benchmarks.suite import Benchmark, Options
from gateway_batch import Gateway

_THEIRS = "written_by_spark"
_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.25

_FLUSHED = Goal("seconds from flush() to the rows' being read, the longest", Comparison.AT_MOST, 3, ".2f")
_UNASKED = Goal("seconds from the query's end with no call, the longest", Comparison.AT_MOST, 15, ".1f")


@dataclass(frozen=True, slots=True)
class _Repeat:
    flushed_s: float
    written_s: float
    unasked_s: float


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    with spark_session() as spark, running_server(Latency(20)) as server:
        with register(spark, server, flush_interval=0) as gateway:
            _flushed(spark, gateway, options.rows)
            spark.table(gateway.usage.table).write.format("delta").saveAsTable(_THEIRS)
            by_call = [
                (_flushed(spark, gateway, options.rows), _written(spark, gateway)) for _ in range(options.repeats)
            ]
        with register(spark, server) as gateway:
            unasked = [_unasked(spark, gateway, options.rows) for _ in range(options.repeats)]
            interval = gateway.config.flush_interval
    runs = [_Repeat(*pair, alone) for pair, alone in zip(by_call, unasked, strict=True)]
    flushed, written = max(run.flushed_s for run in runs), max(run.written_s for run in runs)
    longest = max(run.unasked_s for run in runs)
    return Report(
        benchmark="freshness",
        load=f"A query of {options.rows} rows in a warm session, {options.repeats} times; the longest of each.",
        table=Table(
            ["seconds until a query of the table sees all rows", "longest"],
            [
                ["after usage.flush()", f"{flushed:.2f}"],
                ["after the same rows' write by Spark", f"{written:.2f}"],
                [f"with no call, flush_interval {interval:g} s", f"{longest:.1f}"],
            ],
        ),
        figures=[Figure(_FLUSHED, flushed), Figure(_UNASKED, longest)],
        machine=machine,
        versions=describe_versions(),
        notes=["The query that counts the rows is part of each figure."],
        measured={"runs": [asdict(run) for run in runs]},
    )


def _query(spark: SparkSession, rows: int) -> None:
    letters(spark, rows).selectExpr(f"ai_query('{MODEL}', text)").collect()


def _flushed(spark: SparkSession, gateway: Gateway, rows: int) -> float:
    before = recorded(spark, gateway)
    _query(spark, rows)
    started = time.perf_counter()
    gateway.usage.flush()
    if recorded(spark, gateway) != before + rows:
        raise WrongRunError("a flush left rows out")
    return time.perf_counter() - started


def _written(spark: SparkSession, gateway: Gateway) -> float:
    """The control: the rows of a small query, appended by Spark."""
    newest = spark.table(gateway.usage.table).orderBy("event_time", ascending=False).limit(20).toArrow()
    started = time.perf_counter()
    spark.createDataFrame(newest).write.format("delta").mode("append").saveAsTable(_THEIRS)
    spark.table(_THEIRS).count()
    return time.perf_counter() - started


def _unasked(spark: SparkSession, gateway: Gateway, rows: int) -> float:
    before = recorded(spark, gateway)
    _query(spark, rows)
    started = time.perf_counter()
    while recorded(spark, gateway) < before + rows:
        if time.perf_counter() - started > _WITHIN_S:
            raise WrongRunError(f"after {_WITHIN_S:g} s rows are not in the table")
        time.sleep(_LOOK_EVERY_S)
    return time.perf_counter() - started


BENCHMARKS = [
    Benchmark("freshness", "a query's usage, soon after it", _measure, Options(rows=20, repeats=5), 2),
]
