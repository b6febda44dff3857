"""What a benchmark found, printed and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.goals import Figure, Verdict, judge

_STYLES = {Verdict.REACHED: "green", Verdict.MISSED: "red", Verdict.WRONG: "red", Verdict.VOID: "yellow"}


class WrongRunError(Exception):
    """A run did not send what it should have, or did not record it: its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures as they are shown: a name a row, a column for each side."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark found.

    Attributes:
        benchmark: its name.
        load: what was run, in a line.
        table: what was measured.
        figures: what was measured for each goal.
        void: why the figures say nothing; None if they do.
        notes: what a reader has to know, a sentence each.
        measured: each run.
        machine: where it ran.
        versions: with what.
    """

    benchmark: str
    load: str
    table: Table
    figures: Sequence[Figure]
    machine: dict[str, Any]
    versions: dict[str, str]
    void: str | None = None
    notes: Sequence[str] = ()
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """How it went."""
        return judge(self.figures, void=self.void is not None)

    def as_json(self) -> dict[str, Any]:
        """Everything in it, and the verdict."""
        figures = [
            {
                "name": figure.goal.name,
                "goal": str(figure.goal),
                "figure": str(figure),
                "value": figure.value,
                "reached": figure.reached,
            }
            for figure in self.figures
        ]
        return {**asdict(self), "verdict": self.verdict.name, "figures": figures}


def save(report: Report, folder: Path) -> Path:
    """Writes `<folder>/<benchmark>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.benchmark}.json"
    path.write_text(json.dumps(report.as_json(), indent=2, default=str) + "\n")
    return path


def show(report: Report, console: Console) -> None:
    """Prints tables, goals and the verdict."""
    console.print(_rich(report.table, title=report.benchmark))
    console.print(report.load)
    for note in report.notes:
        console.print(note, style="dim")
    machine, versions = report.machine, report.versions
    console.print(
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, load {machine['load_before']:.2f} "
        "before. " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        style="dim",
    )
    if report.figures:
        goals = RichTable("", "goal", "figure", "")
        for figure in report.figures:
            verdict = Verdict.REACHED if figure.reached else Verdict.MISSED
            goals.add_row(figure.goal.name, str(figure.goal), str(figure), _colored(verdict))
        console.print(goals)
    if report.void is not None:
        console.print(f"{_colored(Verdict.VOID)}: {report.void}")


def _rich(table: Table, title: str) -> RichTable:
    rich = RichTable(*table.columns, title=title)
    for column in rich.columns[1:]:
        column.justify = "right"
    for row in table.rows:
        rich.add_row(*row)
    return rich


def _colored(verdict: Verdict) -> str:
    return f"[bold {_STYLES[verdict]}]{verdict.name}[/]"
