"""A usage report as CSV."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from gateway_batch.cli.usage_table import csv_text
from gateway_batch.usage_report.keys import Key
from gateway_batch.usage_report.report import Figures, Report


def figures(key: str | None) -> Figures:
    return Figures(key, 1, 0, 0, 1, 2, 3, 5, 0, 1, None, None, None, 0)


@pytest.mark.parametrize("key", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_key_is_no_formula(key: str) -> None:
    rows = [figures(key), figures("team=a"), figures(None)]
    text = csv_text(Report(Key("tag:team", "key"), rows, rows[0], None, None, False), rows)
    found = list(csv.reader(StringIO(text, newline="")))
    assert [row[0] for row in found] == ["tag:team", f"'{key}", "team=a", ""]
    assert "2" in found[1]
