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

_UNIT = "times the raw client loop's"
_WORKERS = Goal("Python workers", Held.AT_MOST, 3.4, ".2f", _UNIT)
_TREE = Goal("all processes", Held.AT_MOST, 5.7, ".2f", _UNIT)
"""0.3 and 0.5 ms a row on the machine that they were set on, whose raw client loop takes 0.087."""


def _measure(options: Options, console: Console) -> Report:
    comparison = compare(Load(options.rows, 64, LATENCY), options.repeats, console)
    workers = comparison.cpu_ms(run.workers_cpu_s for run in comparison.ours)
    tree = comparison.cpu_ms(run.tree_cpu_s for run in comparison.ours)
    control = comparison.cpu_ms(run.cpu_s for run in comparison.control)
    return Report(
        benchmark="cpu_per_row",
        load=f"{comparison.load}; {options.repeats} runs of each side in turns, medians.",
        table=_table(comparison, workers, tree, control),
        figures=[Figure(_WORKERS, workers / control), Figure(_TREE, tree / control)],
        machine=comparison.machine,
        versions=describe_versions(),
        void=comparison.void or (None if workers else "no Python worker of Spark was recognised"),
        notes=[
            *notes(comparison),
            'The server\'s CPU is not included. "All processes" includes background flushes during a query.',
        ],
        measured=comparison.as_json(),
    )


def _table(comparison: Comparison, workers: float, tree: float, control: float) -> Table:
    flush_s = median(run.flush_seconds for run in comparison.ours)
    flush = comparison.cpu_ms(run.flush_cpu_s for run in comparison.ours)
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
