"""CPU time a row of `ai_query`, in the Python workers and over all processes, against a raw client loop's."""

from __future__ import annotations

from statistics import median

from rich.console import Console

from benchmarks.comparison import Comparison, compare
from benchmarks.goals import Comparison as Held
from benchmarks.goals import Figure, Goal
from benchmarks.load import Load
from benchmarks.machine import describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options
from benchmarks.throughput import LATENCY, notes

_WORKERS = Goal("Python workers", Held.AT_MOST, 0.3, ".3f", "ms a row")
_TREE = Goal("all processes", Held.AT_MOST, 0.5, ".3f", "ms a row")


def _measure(options: Options, console: Console) -> Report:
    comparison = compare(Load(options.rows, 64, LATENCY), options.repeats, console)
    workers = comparison.cpu_ms(run.workers_cpu_s for run in comparison.ours)
    tree = comparison.cpu_ms(run.tree_cpu_s for run in comparison.ours)
    return Report(
        benchmark="cpu_per_row",
        load=f"{comparison.load}; {options.repeats} runs of each side in turns, medians.",
        table=_table(comparison, workers, tree),
        figures=[Figure(_WORKERS, workers), Figure(_TREE, tree)],
        machine=comparison.machine,
        versions=describe_versions(),
        void=comparison.void or (None if workers else "no Python worker of Spark was recognised"),
        notes=[
            *notes(comparison),
            'The server\'s CPU is not included. "All processes" includes background flushes during a query.',
        ],
        measured=comparison.as_json(),
    )


def _table(comparison: Comparison, workers: float, tree: float) -> Table:
    flush_s = median(run.flush_seconds for run in comparison.ours)
    flush = comparison.cpu_ms(run.flush_cpu_s for run in comparison.ours)
    control = comparison.cpu_ms(run.cpu_s for run in comparison.control)
    server = comparison.cpu_ms(run.server_cpu_s for run in comparison.control)
    return Table(
        ["CPU ms/row", "raw client loop", "ai_query"],
        [
            ["Python workers", "", f"{workers:.3f}"],
            ["all processes but the server", f"{control:.3f}", f"{tree:.3f}"],
            [f"flush of the records after the query ({flush_s:.1f} s)", "", f"{flush:.3f}"],
            ["server", f"{server:.3f}", ""],
        ],
    )


BENCHMARKS = [
    Benchmark(
        "cpu_per_row", "64 in flight, 50 ms; the runs of throughput", _measure, Options(rows=50_000, repeats=3), 5
    )
]
