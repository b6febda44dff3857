"""What the usage dashboard costs over a large usage table: its figures from the rows and from the aggregate."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.session import spark_session
from benchmarks.suite import Benchmark, Options
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.datasets import Dataset, dataset_of, merged
from gateway_batch.dashboard.definition import FILTERS, PAGES
from gateway_batch.dashboard.page import MAX_BYTES, render_page
from gateway_batch.dashboard.read import read_cube
from gateway_batch.spark.analytics.usage_refresh import refresh_usage
from tests.usage_days import usage_days, write_delta

_DAYS = 28
_FIRST = date(2026, 8, 3)
_NEW_ROWS = 100_000
_REPORTS = 3
_TABLE, _SCHEMA = "ai_gateway.usage", "ai_gateway"

_RAW = Goal("all figures of the pages from the rows", Comparison.AT_MOST, 60, ".1f", "s")
_AGGREGATE = Goal("all figures of the pages from the aggregate", Comparison.AT_MOST, 10, ".1f", "s")
_REFRESH = Goal(f"a refresh after {_NEW_ROWS:,} new rows", Comparison.AT_MOST, 10, ".1f", "s")
_PAGE = Goal("the page", Comparison.AT_MOST, MAX_BYTES / 1e6, ".2f", "MB")
_REPORT = Goal("gateway-batch usage, by model", Comparison.AT_MOST, 3, ".1f", "s")

_Result = TypeVar("_Result")

_CONTROL = f"SELECT day, model, count(*), sum(total_tokens) FROM {_SCHEMA}.usage_invocations GROUP BY day, model"


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    seconds: dict[str, float] = {}

    def timed(name: str, run: Callable[[], _Result]) -> _Result:
        started = time.perf_counter()
        result = run()
        seconds[name] = time.perf_counter() - started
        console.print(f"{name}: {seconds[name]:.1f} s")
        return result

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        usage = Path(folder) / "usage"
        with spark_session() as spark:
            timed("generating", lambda: write_delta(usage_days(options.rows, _DAYS, client_metadata=False), usage))
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
            spark.sql(f"CREATE TABLE {_TABLE} USING DELTA LOCATION '{usage}'")
            read_cube(spark, days=1)  # a session that is in use
            timed("control", lambda: spark.sql(_CONTROL).collect())
            of_rows = timed("rows", lambda: read_cube(spark))
            page = timed("page", lambda: render_page(of_rows))
            timed("first refresh", lambda: refresh_usage(spark, now=_after(_DAYS)))
            of_days = timed("aggregate", lambda: read_cube(spark))
            _check(of_rows, of_days, options.rows)
            datasets = _datasets()
            timed("queries", lambda: [spark.sql(query).collect() for query in datasets])
            _append(spark, Path(folder) / "new")
            refreshed = timed("refresh", lambda: refresh_usage(spark, now=_after(_DAYS + 1)))
            if refreshed.invocations != _NEW_ROWS:
                raise WrongRunError(
                    f"a refresh computed {refreshed.invocations:,} rows, not the {_NEW_ROWS:,} new ones"
                )
            timed("nothing new", lambda: refresh_usage(spark, now=_after(_DAYS + 1)))
        for by in ("model", "tag:team"):
            name = f"report by {by}"
            runs = []
            for _ in range(_REPORTS):
                timed(name, partial(_report, usage, by))
                runs.append(seconds[name])
            seconds[name] = statistics.median(runs)
    control = seconds["control"]
    size = len(page.encode()) / 1e6
    shown = [
        ("one query over the rows, by day and model (control)", "control"),
        ("all figures of the pages, from the rows", "rows"),
        ("the same from the aggregate", "aggregate"),
        (
            f"the {len(datasets)} queries of the Databricks dashboard, one after the other, from the aggregate",
            "queries",
        ),
        ("writing the page", "page"),
        ("first refresh", "first refresh"),
        (f"refresh after {_NEW_ROWS:,} rows of a new day", "refresh"),
        ("refresh with nothing new", "nothing new"),
        ("gateway-batch usage --by model", "report by model"),
        ("gateway-batch usage --by tag:team", "report by tag:team"),
    ]
    return Report(
        benchmark="usage_dashboard",
        load=f"{options.rows:,} generated rows of {_DAYS} days, a Spark session that is in use, one run of each.",
        table=Table(
            ["", "seconds", "of the control"],
            [[title, f"{seconds[name]:.1f}", f"{seconds[name] / control:.1f}"] for title, name in shown],
        ),
        figures=[
            Figure(_RAW, seconds["rows"]),
            Figure(_AGGREGATE, seconds["aggregate"]),
            Figure(_REFRESH, seconds["refresh"]),
            Figure(_PAGE, size),
            Figure(_REPORT, seconds["report by model"]),
        ],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "The web page's figures are computed in the browser from what two queries give; the Databricks dashboard "
            "asks for each widget's by a query of its own.",
            f"The page has {of_rows.cells.num_rows:,} cells.",
            f"gateway-batch usage is a process of its own each time, after Spark's end: the median of {_REPORTS}.",
        ],
        measured={"seconds": seconds, "page_mb": size},
    )


def _after(days: int) -> datetime:
    """A time at which that number of days is complete."""
    return datetime.combine(_FIRST, datetime.min.time(), UTC) + timedelta(days=days, hours=6)


def _append(spark: SparkSession, folder: Path) -> None:
    new = usage_days(_NEW_ROWS, 1, first=_FIRST + timedelta(days=_DAYS), seed=8, client_metadata=False)
    write_delta(new, folder)
    spark.read.format("delta").load(str(folder)).writeTo(_TABLE).append()


def _datasets() -> list[str]:
    """The queries of all widgets, without filters."""
    found = merged(
        dataset for page in PAGES for row in page.rows for widget in row if (dataset := dataset_of(widget, page.only))
    )
    return [_filled(each) for each in found]


def _filled(dataset: Dataset) -> str:
    query = dataset.sql(_SCHEMA).replace(":days.min", f"'{_FIRST}'").replace(":days.max", "'2026-12-31'")
    for each in FILTERS:
        query = query.replace(f":{each.name}", "CAST(NULL AS ARRAY<STRING>)")
    return query


def _check(of_rows: UsageCube, of_days: UsageCube, rows: int) -> None:
    for cube in (of_rows, of_days):
        found = sum(cube.cells["invocations"].to_pylist())
        if found != rows:
            raise WrongRunError(f"a page has {found:,} invocations of {rows:,}")
    if of_rows.groups.num_rows != of_days.groups.num_rows:
        raise WrongRunError("the aggregate gives other requests than the rows")


def _report(usage: Path, by: str) -> Sequence[str]:
    command = Path(sys.executable).with_name("gateway-batch")
    ran = subprocess.run(
        [command, "usage", "--usage-table", usage, "--by", by, "--csv"], check=True, capture_output=True, text=True
    )
    lines = ran.stdout.splitlines()
    if len(lines) < 2:
        raise WrongRunError(f"no report: {ran.stdout}")
    return lines


BENCHMARKS = [
    Benchmark(
        "usage_dashboard",
        "the usage dashboard's figures over a large table, from rows and from the aggregate",
        _measure,
        Options(rows=10_000_000),
        8,
    ),
]
