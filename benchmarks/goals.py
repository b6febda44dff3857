"""What is to be reached, and whether it was: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

CONTROL_AT_LEAST = 0.88


class Verdict(IntEnum):
    """How a benchmark went; the value is the exit code."""

    REACHED = 0
    MISSED = 1
    WRONG = 2
    VOID = 3


class Comparison(StrEnum):
    """How a figure is held against a goal's value."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    EXACTLY = "exactly"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure that is to be reached.

    Attributes:
        name: of the figure.
        comparison: how it is held against the value.
        value: what is to be reached.
        form: how figure and value are written, as in `format`.
        unit: written behind them.
    """

    name: str
    comparison: Comparison
    value: float
    form: str = ",.2f"
    unit: str = ""

    def write(self, value: float) -> str:
        """A figure as it stands in tables."""
        return f"{value:{self.form}}{self.unit and ' '}{self.unit}"

    def __str__(self) -> str:
        return f"{self.comparison} {self.write(self.value)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured for a goal; no value where it can't be measured yet."""

    goal: Goal
    value: float | None

    @property
    def reached(self) -> bool:
        """Whether the goal is reached. Figures are compared as measured, not as written."""
        if self.value is None:
            return False
        match self.goal.comparison:
            case Comparison.AT_LEAST:
                return self.value >= self.goal.value
            case Comparison.AT_MOST:
                return self.value <= self.goal.value
            case Comparison.EXACTLY:
                return self.value == self.goal.value

    def __str__(self) -> str:
        return "not measured" if self.value is None else self.goal.write(self.value)


def judge(figures: Iterable[Figure], *, void: bool) -> Verdict:
    """The verdict over all figures; a figure that could not be measured is missed."""
    if void:
        return Verdict.VOID
    return Verdict.REACHED if all(figure.reached for figure in figures) else Verdict.MISSED


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The one that decides the exit code of several benchmarks: wrong, then missed, then void."""
    order = [Verdict.REACHED, Verdict.VOID, Verdict.MISSED, Verdict.WRONG]
    return max(verdicts, key=order.index, default=Verdict.REACHED)


def reach_of_control(rate: float, limits: Iterable[float]) -> float:
    """The control's rate as a part of the lowest limit that it is under."""
    return rate / min(limits)
