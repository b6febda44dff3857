"""The verdict on a comparison, as a table and as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.load import Load
from benchmarks.ours import OurRun

GOAL = 0.85
CONTROL_AT_LEAST = 0.88

_PACKAGES = ("gateway-batch", "pyspark", "delta-spark", "pyarrow", "pyreqwest", "orjson", "uvloop", "httptools")


class Verdict(IntEnum):
    """How it went; the value is the exit code."""

    REACHED = 0
    MISSED = 1
    VOID = 3


@dataclass(frozen=True, slots=True)
class ControlRun:
    """What one raw loop cost, and the server with it."""

    seconds: float
    cpu_s: float
    server_cpu_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Interleaved runs of both sides under one load."""

    load: Load
    flush_interval_s: float
    control: list[ControlRun]
    ours: list[OurRun]

    @property
    def control_rate(self) -> float:
        """The control's rows a second, median."""
        return median(self.load.rows / run.seconds for run in self.control)

    @property
    def our_rate(self) -> float:
        """Our rows a second, median."""
        return median(self.load.rows / run.seconds for run in self.ours)

    @property
    def ratio(self) -> float:
        """Our median rate as a part of the control's."""
        return self.our_rate / self.control_rate

    @property
    def verdict(self) -> Verdict:
        """Void unless the control itself came near the limit."""
        if self.control_rate < CONTROL_AT_LEAST * self.load.limit:
            return Verdict.VOID
        return Verdict.REACHED if self.ratio >= GOAL else Verdict.MISSED

    def cpu_ms(self, seconds: Iterable[float]) -> float:
        """Median CPU milliseconds a row, from the runs' CPU seconds."""
        return median(seconds) * 1000 / self.load.rows

    @property
    def workers_cpu_ms(self) -> float:
        """CPU milliseconds a row in the Python workers, median."""
        return self.cpu_ms(run.workers_cpu_s for run in self.ours)

    @property
    def tree_cpu_ms(self) -> float:
        """CPU milliseconds a row in all our processes, median."""
        return self.cpu_ms(run.tree_cpu_s for run in self.ours)


def describe_machine() -> dict[str, Any]:
    """What the figures depend on; no names."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
    }


def describe_versions() -> dict[str, str]:
    """Python's version and those of the packages that matter."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _PACKAGES}


def as_json(comparison: Comparison, machine: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, and what follows from it."""
    return {
        "verdict": comparison.verdict.name,
        "goal": GOAL,
        "ratio": comparison.ratio,
        "control_rows_per_s": comparison.control_rate,
        "our_rows_per_s": comparison.our_rate,
        "limit_rows_per_s": comparison.load.limit,
        "workers_cpu_ms_per_row": comparison.workers_cpu_ms,
        "tree_cpu_ms_per_row": comparison.tree_cpu_ms,
        "machine": machine,
        "versions": describe_versions(),
        **asdict(comparison),
    }


def show(comparison: Comparison, machine: dict[str, Any], console: Console) -> None:
    """Prints the table and the verdict."""
    load = comparison.load
    console.print(_table(comparison))
    console.print(
        f"{load.rows:,} rows, {load.in_flight} in flight, {load.latency_ms:g} ms: at most {load.limit:,.0f} rows/s. "
        f"{len(comparison.ours)} runs of each side in turns; medians. The server's CPU is not in ours."
    )
    console.print(
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, load {machine['load_before']:.2f} "
        "before. " + ", ".join(f"{name} {version}" for name, version in describe_versions().items()),
        style="dim",
    )
    console.print(_sentence(comparison))


def _table(comparison: Comparison) -> Table:
    limit = comparison.load.limit
    control_cpu_ms = comparison.cpu_ms(run.cpu_s for run in comparison.control)
    server_cpu_ms = comparison.cpu_ms(run.server_cpu_s for run in comparison.control)
    flush_cpu_ms = comparison.cpu_ms(run.flush_cpu_s for run in comparison.ours)
    flush_s = median(run.flush_seconds for run in comparison.ours)
    table = Table("", "raw client loop", "ai_query", title="Throughput")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("rows/s", f"{comparison.control_rate:,.0f}", f"{comparison.our_rate:,.0f}")
    table.add_row("of the limit", f"{comparison.control_rate / limit:.1%}", f"{comparison.our_rate / limit:.1%}")
    table.add_row("of the raw client loop", "", f"{comparison.ratio:.1%}")
    table.add_row("CPU ms/row, Python workers", "", f"{comparison.workers_cpu_ms:.3f}")
    table.add_row("CPU ms/row, all processes", f"{control_cpu_ms:.3f}", f"{comparison.tree_cpu_ms:.3f}")
    table.add_row("CPU ms/row, flush afterwards", "", f"{flush_cpu_ms:.3f} ({flush_s:.1f} s)")
    table.add_row("CPU ms/row, server", f"{server_cpu_ms:.3f}", "")
    return table


def _sentence(comparison: Comparison) -> str:
    match comparison.verdict:
        case Verdict.VOID:
            share = comparison.control_rate / comparison.load.limit
            return (
                f"[bold red]VOID[/]: the raw client loop itself reached only {share:.1%} of the limit, less than "
                f"{CONTROL_AT_LEAST:.0%}: the machine was busy or is too slow, so the ratio says nothing."
            )
        case Verdict.REACHED:
            return f"[bold green]Reached[/]: {comparison.ratio:.1%} of the raw client loop; the goal is {GOAL:.0%}."
        case Verdict.MISSED:
            return f"[bold red]Missed[/]: {comparison.ratio:.1%} of the raw client loop; the goal is {GOAL:.0%}."
