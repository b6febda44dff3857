"""64 rows of which one is answered in a hostile way: what it costs the 63 others in time, and the process in memory.

The control is the same rows without it, in the same process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.hostile_run import ROWS
from benchmarks.hostile_server import HOSTILE, LATENCY_S
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options

_STOP_WITHIN_S = 10
_ANSWERED = Goal("other rows answered, the fewest", Comparison.EXACTLY, ROWS - 1, "d")
_TIME = Goal("time of the other rows over that without the hostile answer, the most", Comparison.AT_MOST, 1.2)
_MEMORY = Goal("memory on top, the most", Comparison.AT_MOST, 200, ".0f", "MB")


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    runs: dict[str, list[dict[str, Any]]] = {}
    with _running_server() as port:
        for name in HOSTILE:
            command = [sys.executable, "-m", "benchmarks.hostile_run", port, name]
            runs[name] = [
                json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
                for _ in range(options.repeats)
            ]
            console.print("  ".join(_row(name, runs[name])))
    return Report(
        benchmark="hostile_answers",
        load=f"{ROWS} rows at once, answered after {LATENCY_S:g} s, one of them in a hostile way; "
        f"{options.repeats} processes for each answer, medians.",
        table=Table(["answer", "others answered", "time", "memory on top", "the row itself"], [
            _row(name, run) for name, run in runs.items()
        ]),
        figures=[
            Figure(_ANSWERED, min(map(_answered, runs.values()))),
            Figure(_TIME, max(map(_ratio, runs.values()))),
            Figure(_MEMORY, max(map(_more_mb, runs.values()))),
        ],
        machine=machine,
        versions=describe_versions(),
        notes=["A row has 2 attempts, 3 s for each, and 6 s in all."],
        measured=runs,
    )  # fmt: skip


@contextmanager
def _running_server() -> Iterator[str]:
    """The server's port. It ends with the block."""
    command = [sys.executable, "-m", "benchmarks.hostile_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.stdin.close()
            process.wait(_STOP_WITHIN_S)


def _answered(runs: list[dict[str, Any]]) -> int:
    return min(int(run["hostile"]["answered"]) for run in runs)


def _ratio(runs: list[dict[str, Any]]) -> float:
    return median(float(run["hostile"]["seconds"] / run["clean"]["seconds"]) for run in runs)


def _more_mb(runs: list[dict[str, Any]]) -> float:
    return max(float(run["more_mb"]) for run in runs)


def _row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    outcomes = ", ".join(dict.fromkeys(run["hostile"]["outcome"] for run in runs))
    return [name, str(_answered(runs)), f"{_ratio(runs):.2f}", f"{_more_mb(runs):.0f} MB", outcomes]


BENCHMARKS = [Benchmark("hostile_answers", "one hostile answer among 64 rows", _measure, Options(repeats=3), 6)]
