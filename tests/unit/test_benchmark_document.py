from __future__ import annotations

from typing import Any

from benchmarks.document import fill

RESULT: dict[str, Any] = {
    "load": "10 rows.",
    "table": {"columns": ["", "ours"], "rows": [["rows/s", "990"]]},
    "figures": [{"name": "rows/s", "goal": "at least 92.0%", "figure": "90.0%", "reached": False}],
    "void": None,
    "notes": ["A note."],
    "machine": {"cores": 2, "cpu": "a processor", "memory_gib": 24, "load_before": 0.5},
    "versions": {"python": "3.11.7"},
}
PAGE = (
    "before\n<!-- benchmark: fast -->\nold\n<!-- end -->\n"
    "between\n<!-- benchmark: other -->\nkept\n<!-- end -->\nafter\n"
)


def test_a_result_takes_the_place_between_its_marks() -> None:
    page = fill(PAGE, {"fast": RESULT})
    assert "old" not in page
    assert "| rows/s | 990 |" in page
    assert "| rows/s | at least 92.0% | 90.0% | missed |" in page
    assert "- 2 cores of a processor, 24 GiB, load 0.50 before; python 3.11.7." in page
    assert page.endswith("between\n<!-- benchmark: other -->\nkept\n<!-- end -->\nafter\n")


def test_a_page_is_the_same_when_it_is_filled_again() -> None:
    once = fill(PAGE, {"fast": RESULT})
    assert fill(once, {"fast": RESULT}) == once


def test_a_void_result_says_so() -> None:
    assert "Void: the machine was busy." in fill(PAGE, {"fast": {**RESULT, "void": "the machine was busy"}})
