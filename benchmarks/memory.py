"""The most memory that a Python worker holds over a long partition, against a short one and an idle function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from benchmarks.children import running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.idle import same
from benchmarks.latency import Latency
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.sampling import MemoryClock
from benchmarks.session import letters, register, run_to_nowhere, spark_session
from benchmarks.suite import Benchmark, Options

_IN_FLIGHT = 64
_SMALL_ROWS = 100_000
_PEAK = Goal("peak resident size", Comparison.AT_MOST, 300, ",.0f", "MB")
_GROWTH = Goal("the long partition's peak over the short one's", Comparison.AT_MOST, 1.2, ".2f")


@dataclass(frozen=True, slots=True)
class _Run:
    rows: int
    peak_mb: float
    proportional_mb: float


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    sizes = [min(_SMALL_ROWS, max(1, options.rows // 3)), options.rows]
    control, ours = [_measure_control(rows) for rows in sizes], []
    for rows in sizes:
        ours.append(_measure_ours(rows))
        console.print(f"{rows:,} rows: {ours[-1].peak_mb:,.0f} MB")
    small, large = ours
    return Report(
        benchmark="memory",
        load=f"One partition, {_IN_FLIGHT} in flight, no latency; each run in a new worker.",
        table=_table(control, ours),
        figures=[Figure(_PEAK, large.peak_mb), Figure(_GROWTH, large.peak_mb / small.peak_mb)],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "The resident size is the kernel's own highest value (VmHWM), pages shared with Spark's daemon included; "
            "the proportional one (PSS) shares them out, and is the highest of the samples. 1 MB is a million bytes.",
            "The control is the same query with a function that returns its text: what a worker of Spark holds anyway.",
        ],
        measured={"control": [asdict(run) for run in control], "ours": [asdict(run) for run in ours]},
    )


def _measure_ours(rows: int) -> _Run:
    with (
        running_server(Latency(0)) as server,
        spark_session(task_slots=1) as spark,
        register(spark, server, max_concurrency=_IN_FLIGHT),
    ):
        run = _run(spark, rows, lambda text: F.call_function("ai_query", F.lit(MODEL), text))
        if (requests := server.served().requests) != rows:
            raise WrongRunError(f"the server saw {requests} requests for {rows} rows")
    return run


def _measure_control(rows: int) -> _Run:
    with spark_session(task_slots=1) as spark:
        return _run(spark, rows, same)


def _run(spark: SparkSession, rows: int, function: Callable[[Column], Column]) -> _Run:
    query = letters(spark, rows, partitions=1).select(function(F.col("text")).alias("answer"))
    with MemoryClock() as memory:
        run_to_nowhere(query)
    return _Run(rows, memory.peak_resident / 1e6, memory.peak_proportional / 1e6)


def _table(control: list[_Run], ours: list[_Run]) -> Table:
    rows: list[list[str]] = []
    for nothing, run in zip(control, ours, strict=True):
        rows.append([f"{run.rows:,} rows, peak resident MB", f"{nothing.peak_mb:,.0f}", f"{run.peak_mb:,.0f}"])
        shares = f"{nothing.proportional_mb:,.0f}", f"{run.proportional_mb:,.0f}"
        rows.append([f"{run.rows:,} rows, peak proportional MB", *shares])
    growth = [f"{side[1].peak_mb / side[0].peak_mb:.2f}" for side in (control, ours)]
    return Table(["", "a worker that does nothing", "ai_query"], [*rows, ["long over short, resident", *growth]])


BENCHMARKS = [
    Benchmark("memory", "one long partition against a short one", _measure, Options(rows=300_000), 6),
]
