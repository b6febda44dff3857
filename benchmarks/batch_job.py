"""The memory of a batch job's driver over a million rows, against a tenth of them."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession
from rich.console import Console

import gateway_batch as gb
from benchmarks.children import running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import MODEL, TOKEN
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.processes import memory_of
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.session import letters, spark_session
from benchmarks.suite import Benchmark, Options

_SMALLER = 10
_HEAP = "1g"
_SHORT_HISTORY = {
    f"spark.{kind}": "50" for kind in ("ui.retainedJobs", "ui.retainedStages", "sql.ui.retainedExecutions")
}
"""What Spark remembers of past queries for its UI grows until there are a thousand of them, whatever they are."""
_OLD_GENERATION = "PS Old Gen"
_HEAP_GROWTH = Goal("the larger job's live heap over the smaller one's", Comparison.AT_MOST, 1.2, ".2f")
_PYTHON_GROWTH = Goal("the larger job's Python driver over the smaller one's", Comparison.AT_MOST, 1.2, ".2f")


@dataclass(frozen=True, slots=True)
class _Run:
    """What one job took; memory in MB.

    Attributes:
        planned_s: until the first row is sent.
        heap_mb: what a full collection leaves of the JVM's heap, at the end of the job.
        old_mb: the most that a collection in mid-job left of the old generation.
        python_mb: the Python driver's peak.
    """

    rows: int
    planned_s: float
    seconds: float
    heap_mb: float
    old_mb: float
    python_mb: float


class _Heap:
    """The heap of the session's JVM."""

    def __init__(self, spark: SparkSession) -> None:
        self._java = spark._jvm.java.lang  # type: ignore[union-attr]

    def live_mb(self) -> float:
        """After a full collection."""
        self._java.System.gc()
        runtime = self._java.Runtime.getRuntime()
        return float(runtime.totalMemory() - runtime.freeMemory()) / 1e6

    def old_mb(self) -> float:
        """What the last collection of the old generation left, unless there was none."""
        for pool in self._java.management.ManagementFactory.getMemoryPoolMXBeans():
            if pool.getName() == _OLD_GENERATION:
                return float(pool.getCollectionUsage().getUsed()) / 1e6
        raise WrongRunError(f"the JVM has no memory pool {_OLD_GENERATION}")


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    runs = []
    for rows in (max(1, options.rows // _SMALLER), options.rows):
        runs.append(_job(rows))
        console.print(f"{rows:,} rows: {runs[-1].seconds:,.0f} s, {runs[-1].heap_mb:,.0f} MB live in the JVM")
    small, large = runs
    return Report(
        benchmark="batch_job",
        load=f"One batch job each, no latency, answers of one sentence; a JVM of {_HEAP} each.",
        table=_table(small, large),
        figures=[
            Figure(_HEAP_GROWTH, large.heap_mb / small.heap_mb),
            Figure(_PYTHON_GROWTH, large.python_mb / small.python_mb),
        ],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "Live heap is what a full collection leaves when the job has ended and the session is still open. "
            "Collections during the job leave Spark's blocks in the old generation, as Spark keeps them while it "
            "has room.",
            "Spark keeps fifty past queries for its UI in both runs, not a thousand: that memory grows to its bound "
            "whatever the queries are. With a thousand, the live heap was 172 and 221 MB.",
            "Planning is the time until the first row is sent: reading the source, hashing each request, and writing "
            "down the rows to be answered.",
        ],
        measured={"jobs": [asdict(run) for run in runs]},
    )


def _job(rows: int) -> _Run:
    with (
        running_server(Latency(0)) as server,
        spark_session(settings={"spark.driver.memory": _HEAP, **_SHORT_HISTORY}) as spark,
    ):
        letters(spark, rows).write.format("delta").saveAsTable("letters")
        heap, old_mb = _Heap(spark), 0.0
        began, first = time.monotonic(), 0.0

        def look(report: gb.BatchReport) -> None:
            nonlocal old_mb, first
            first = first or time.monotonic()
            old_mb = max(old_mb, heap.old_mb())

        config = gb.GatewayConfig.from_env(host=server.host, token=TOKEN)
        job = gb.BatchJob(source="letters", output="answers", keys=["id"], endpoint=MODEL, prompt="{text}")
        report = gb.run_batch(spark, job, config, on_progress=look)
        answered, requests = spark.table("answers").where("result IS NOT NULL").count(), server.served().requests
        if not report.rows == answered == requests == rows:
            raise WrongRunError(f"{answered} answers and {requests} requests for {rows} rows")
        memory = memory_of(os.getpid())
        assert memory is not None
        return _Run(rows, first - began, report.seconds, heap.live_mb(), old_mb, memory.peak / 1e6)


def _table(small: _Run, large: _Run) -> Table:
    return Table(
        ["", f"{small.rows:,} rows", f"{large.rows:,} rows"],
        [
            [name, *(f"{getattr(run, field):,.0f}" for run in (small, large))]
            for name, field in (
                ("seconds", "seconds"),
                ("of them until the first row was sent", "planned_s"),
                ("live heap of the driver's JVM at the end, MB", "heap_mb"),
                ("old generation after collections, at most, MB", "old_mb"),
                ("Python driver, peak resident MB", "python_mb"),
            )
        ],
    )


BENCHMARKS = [
    Benchmark("batch_job", "a driver's memory over a job of a million rows", _measure, Options(rows=1_000_000), 30),
]
