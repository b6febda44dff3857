"""The pure parts of the batch job: templates, conditions, groups of chunks, reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.jobs.fail_if import FailIf
from gateway_batch.jobs.pending_rows import chunks_of
from gateway_batch.jobs.report import BatchReport, Chunk, added
from gateway_batch.jobs.run import BatchJob
from gateway_batch.jobs.template import find_column, prompt_sql

COLUMNS = ["id", "Body", "it's `odd`"]
FINGERPRINT_OF_0_1 = "6c0e645f099fe2bc7515df9368452883836c784c19c6cfe3052cc83df67d31fd"
"""Of a job without what came later: its answers hold."""
NOTHING = BatchReport("a.b", "run", 10, datetime(2026, 11, 26, tzinfo=UTC))


@pytest.mark.parametrize(
    ("template", "sql"),
    [
        ("Summarize: {body}", "concat('Summarize: ', CAST(`Body` AS STRING))"),
        ("{id}/{Body}!", "concat(CAST(`id` AS STRING), '/', CAST(`Body` AS STRING), '!')"),
        ('{{"a": {id}}} it\'s', "concat('{', '\"a\": ', CAST(`id` AS STRING), '}', ' it\\'s')"),
        ("{it's `odd`}", "concat(CAST(`it's ``odd``` AS STRING))"),
        ("a\\n{id}", "concat('a\\\\n', CAST(`id` AS STRING))"),
    ],
)
def test_a_template_becomes_sql(template: str, sql: str) -> None:
    assert prompt_sql(template, COLUMNS) == sql


def test_a_column_is_found_in_any_case_where_that_says_which() -> None:
    assert [find_column(["a", "A", "Body"], name, "keys") for name in ("a", "A", "body", "Body")] == [
        *("a", "A", "Body", "Body")
    ]
    with pytest.raises(ConfigError, match="keys: 'bODY' may be body or Body: write it as it is"):
        find_column(["body", "Body"], "bODY", "keys")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Summarize", "names no column"),
        ("{text}", "the source has no column 'text'; it has id, Body"),
        ("{id:>8}", r"\{id:>8\} is not a column's name alone"),
        ("{id!r}", r"\{id!r\} is not a column's name alone"),
        ("{}", "is not a column's name alone"),
        ('Answer as {"stars": 1}: {id}', "braces that are no column's are doubled"),
        ("Answer as {stars}: {id}", "has no column 'stars'.*braces that are no column's are doubled"),
        ('{"a": {id}', "braces that are no column's are doubled|not a column's name alone"),
        ("{id", "braces that are no column's are doubled"),
    ],
)
def test_a_template_that_can_t_be_meant_is_refused(template: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prompt_sql(template, COLUMNS)


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "n"},
        {"return_type": "INT"},
        {"response_format": "{}"},
        {"model_parameters": {"max_tokens": 5}},
        {"api": "messages"},
        {"system_prompt": "Be short."},
    ],
)
def test_another_constant_is_another_question(change: dict[str, Any]) -> None:
    job = BatchJob("a", "b", ["id"], "m", "{id}")
    assert replace(job, **change).inputs(COLUMNS).fingerprint != job.inputs(COLUMNS).fingerprint
    assert replace(job, output="c", request_tags={"a": "b"}).inputs(COLUMNS) == job.inputs(COLUMNS)
    assert job.inputs(COLUMNS, "m") == job.inputs(COLUMNS)
    assert job.inputs(COLUMNS).fingerprint == FINGERPRINT_OF_0_1
    assert job.inputs(COLUMNS, "behind").fingerprint != job.inputs(COLUMNS, "another").fingerprint


@pytest.mark.parametrize(
    ("text", "rate", "holds"),
    [
        ("error_rate > 0.05", "0.06", True),
        ("error_rate > 0.05", "0.05", False),
        ("error_rate>=5%", "0.05", True),
        (" error_rate < 0.5 ", "0.4", True),
        ("error_rate <= 0.5", "0.6", False),
    ],
)
def test_a_condition_compares(text: str, rate: str, holds: bool) -> None:
    condition = FailIf.parse(text)
    assert condition.holds({"error_rate": Decimal(rate)}) is holds
    assert str(condition) == text.strip()


def test_a_condition_about_what_is_not_known_does_not_hold() -> None:
    assert not FailIf.parse("cost_usd > 0").holds({"cost_usd": None})
    assert not FailIf.parse("error_rate >= 0").holds(NOTHING.measures)


@pytest.mark.parametrize("text", ["", "error_rate", "errors > 1", "error_rate > x", "error_rate = 1", "rows > -1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a condition such as"):
        FailIf.parse(text)


def test_chunks_are_joined_as_far_as_there_is_room() -> None:
    counts = [(0, 4), (1, 6), (2, 1), (9, 10), (10, 3), (11, 12), (12, 2)]
    assert chunks_of(counts, 10) == [[0, 1], [2], [9], [10], [11], [12]]
    assert chunks_of([], 10) == []


def test_a_report_adds_chunks_up() -> None:
    first = added(
        NOTHING,
        Chunk(
            rows=4, errors={"server": 1}, cut_off=2, empty=1, input_tokens=3, output_tokens=2, cost_usd=Decimal("0.5")
        ),
    )
    report = BatchReport("a.b", "run", 10, NOTHING.started_at, **first)
    second = added(report, Chunk(rows=2, errors={"server": 1, "policy": 1}, cut_off=1, filtered=1, cost_usd=None))
    report = BatchReport("a.b", "run", 10, NOTHING.started_at, **second)
    assert (report.rows, report.left, report.failed_rows) == (6, 4, 3)
    assert report.errors == {"server": 2, "policy": 1}
    assert (report.cut_off, report.filtered, report.empty) == (3, 1, 1)
    assert FailIf.parse("cut_off > 2").holds(report.measures)
    assert not FailIf.parse("empty > 1").holds(report.measures)
    assert (report.input_tokens, report.output_tokens, report.cost_usd) == (3, 2, None)
    assert report.measures["error_rate"] == Decimal("0.5")
    assert report.as_json()["cost_usd"] is None
