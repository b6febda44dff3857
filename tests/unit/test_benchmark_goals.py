from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.goals import Comparison, Figure, Goal, Verdict, judge, reach_of_control, worst
from benchmarks.report import Report, Table, save
from benchmarks.suite import Benchmark, Options

FAST = Goal("rows/s", Comparison.AT_LEAST, 0.92, ".1%")
CHEAP = Goal("CPU", Comparison.AT_MOST, 0.3, ".3f", "ms a row")
ONCE = Goal("requests", Comparison.EXACTLY, 1.0, ".3f")


@pytest.mark.parametrize(
    ("goal", "value", "reached"),
    [
        (FAST, 0.92, True),
        (FAST, 0.9199, False),
        (CHEAP, 0.3, True),
        (CHEAP, 0.3001, False),
        (ONCE, 1.0, True),
        (ONCE, 1.0001, False),
        (ONCE, 0.9999, False),
        (FAST, None, False),
    ],
)
def test_a_figure_is_held_against_its_goal_as_measured(goal: Goal, value: float | None, reached: bool) -> None:
    assert Figure(goal, value).reached is reached


def test_goals_and_figures_are_written_in_their_units() -> None:
    assert (str(FAST), str(Figure(FAST, 0.9871))) == ("at least 92.0%", "98.7%")
    assert (str(CHEAP), str(Figure(CHEAP, 0.4))) == ("at most 0.300 ms a row", "0.400 ms a row")
    assert str(Figure(CHEAP, None)) == "not measured"


def test_one_missed_figure_is_enough_and_a_void_run_says_nothing() -> None:
    good, bad, unmeasured = Figure(FAST, 0.99), Figure(CHEAP, 0.4), Figure(FAST, None)
    assert judge([good], void=False) is Verdict.REACHED
    assert judge([good, bad], void=False) is Verdict.MISSED
    assert judge([good, unmeasured], void=False) is Verdict.MISSED
    assert judge([good, bad], void=True) is Verdict.VOID


def test_the_worst_verdict_decides_the_exit_code() -> None:
    assert worst([]) == 0
    assert worst([Verdict.REACHED, Verdict.VOID]) == 3
    assert worst([Verdict.VOID, Verdict.MISSED, Verdict.REACHED]) == 1
    assert worst([Verdict.VOID, Verdict.MISSED, Verdict.WRONG]) == 2


def test_the_control_is_held_against_the_lowest_limit_it_is_under() -> None:
    assert reach_of_control(900, [1_000, 5_000]) == 0.9
    assert reach_of_control(4_000, [5_120, 4_000]) == 1.0


def test_a_report_is_saved_with_its_verdict_and_figures(tmp_path: Path) -> None:
    table = Table(["", "ours"], [["rows/s", "990"]])
    report = Report("throughput", "10 rows", table, [Figure(FAST, 0.99)], {"cores": 2}, {"python": "3.11"})
    saved = json.loads(save(report, tmp_path / "new").read_text())
    assert saved["verdict"] == "REACHED"
    assert saved["figures"] == [
        {"name": "rows/s", "goal": "at least 92.0%", "figure": "99.0%", "value": 0.99, "reached": True}
    ]
    assert saved["table"]["rows"] == [["rows/s", "990"]]


def test_a_benchmark_takes_only_the_options_that_its_defaults_name() -> None:
    benchmark = Benchmark("b", "", lambda options, console: pytest.fail("not run"), Options(rows=10, repeats=3), 1)
    assert benchmark.takes == {"rows", "repeats"}
    assert benchmark.options({"rows": 5, "seconds": 60}) == Options(rows=5, repeats=3)
