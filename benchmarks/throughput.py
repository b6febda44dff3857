"""Rows a second of `ai_query` against a raw client loop of the same HTTP library."""

from __future__ import annotations

from functools import partial

from rich.console import Console

from benchmarks.comparison import Comparison, compare
from benchmarks.goals import Comparison as Held
from benchmarks.goals import Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import Load
from benchmarks.machine import describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options

LATENCY = Latency(50)
_HEAVY_TAIL = Latency(80, sigma=1.2, cap_ms=5_000)
_OF_THE_LOOP = "rows/s, of the raw client loop's"


def _measure(name: str, in_flight: int, latency: Latency, goal: float, options: Options, console: Console) -> Report:
    comparison = compare(Load(options.rows, in_flight, latency), options.repeats, console)
    return Report(
        benchmark=name,
        load=f"{comparison.load}; {options.repeats} runs of each side in turns, medians.",
        table=_table(comparison),
        figures=[Figure(Goal(_OF_THE_LOOP, Held.AT_LEAST, goal, ".1%"), comparison.ratio)],
        machine=comparison.machine,
        versions=describe_versions(),
        void=comparison.void,
        notes=notes(comparison),
        measured=comparison.as_json(),
    )


def notes(comparison: Comparison) -> list[str]:
    """What the figures depend on."""
    return [
        f"In flight over mean latency is {comparison.load.limit:,.0f} rows/s; without latency, raw client loop and "
        f"server reach {max(comparison.reach):,.0f} on this machine. The limit of the loop is the lower figure.",
        f"Other processes kept {comparison.others_cores:.2f} cores busy meanwhile.",
    ]


def _table(comparison: Comparison) -> Table:
    control, ours = comparison.control_rate, comparison.our_rate
    return Table(
        ["", "raw client loop", "ai_query"],
        [
            ["rows/s", f"{control:,.0f}", f"{ours:,.0f}"],
            ["of the limit", f"{control / comparison.limit:.1%}", f"{ours / comparison.limit:.1%}"],
            ["of the raw client loop", "", f"{comparison.ratio:.1%}"],
        ],
    )


def _benchmark(
    name: str, purpose: str, in_flight: int, latency: Latency, goal: float, rows: int, minutes: float
) -> Benchmark:
    run = partial(_measure, name, in_flight, latency, goal)
    return Benchmark(name, purpose, run, Options(rows=rows, repeats=3), minutes)


BENCHMARKS = [
    _benchmark("throughput", "64 in flight, 50 ms", 64, LATENCY, 0.92, 50_000, 5),
    _benchmark("throughput_wide", "256 in flight, 50 ms", 256, LATENCY, 0.75, 50_000, 3),
    _benchmark("throughput_heavy_tail", "64 in flight, heavy-tailed latency", 64, _HEAVY_TAIL, 0.90, 50_000, 15),
]
