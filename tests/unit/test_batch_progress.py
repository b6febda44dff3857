"""How a batch job's progress is reported."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.jobs import progress_reporter
from gateway_batch.jobs.progress import duration, figures, summary
from gateway_batch.jobs.progress_reporter import ProgressReporter
from gateway_batch.jobs.report import BatchReport, Status
from gateway_batch.usage.spool import SpoolWriter
from gateway_batch.usage.spool_progress import Traffic
from tests.unit.samples import record

BEGUN = BatchReport("a.b", "run", 100, datetime(2026, 11, 26, tzinfo=UTC))


@pytest.fixture(autouse=True)
def quick_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_reporter, "_EVERY_S", 0.01)


def test_a_line_has_what_is_done_in_flight_spent_and_left() -> None:
    report = replace(
        BEGUN, rows=40, under_way=10, seconds=10.0, input_tokens=900, output_tokens=100, cost_usd=Decimal("0.5"),
        errors={"timeout": 2}, traffic=Traffic(attempts=57, rate_limited=3, in_flight=8),
    )  # fmt: skip
    assert figures(report) == (
        "50 of 100 rows, 5 rows/s, 8 in flight, 1,000 tokens, 0.5000 USD, about 1.2500 USD in the end, 3 times 429, "
        "2 timeout, 0:10 left"
    )


def test_a_line_of_a_run_that_has_done_nothing_yet() -> None:
    assert figures(replace(BEGUN, cost_usd=None)) == "0 of 100 rows, 0 rows/s, 0 tokens"


def test_the_summary_says_that_there_was_nothing_to_do() -> None:
    assert "nothing to do" in summary(replace(BEGUN, planned=0, status=Status.COMPLETED))


def test_answers_that_ended_early_are_told_where_there_are_any() -> None:
    ended = replace(BEGUN, rows=100, errors={"policy": 1}, cut_off=2_000, filtered=1, empty=3, status=Status.COMPLETED)
    assert summary(ended).endswith("1 failed (1 policy), 2,000 cut off, 1 filtered, 3 empty")
    assert figures(ended).endswith("1 policy, 2,000 cut off, 1 filtered, 3 empty")
    assert summary(replace(BEGUN, rows=100)).endswith("0 failed")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_under_way_is_told_between_chunks_and_counted_by_chunks_only(tmp_path: Path) -> None:
    soon: list[Callable[[], None]] = []
    writer = SpoolWriter(tmp_path, soon.append)
    reported: list[BatchReport] = []
    news = threading.Event()

    def listen(report: BatchReport) -> None:
        reported.append(report)
        if report.under_way == 2:
            news.set()

    with ProgressReporter(BEGUN, tmp_path, listen, time.monotonic()) as reporter:
        attempts = [record(f"{number}") for number in range(3)]
        for attempt in attempts:
            writer.intend(attempt)
        for attempt in attempts[1:]:
            writer.settle(attempt)
        soon.pop()()
        assert news.wait(30)
        assert (reported[-1].rows, reported[-1].under_way, reported[-1].traffic) == (
            0,
            2,
            Traffic(attempts=2, in_flight=1),
        )
        last = reporter.report_chunk(rows=2)
    assert (last.rows, last.under_way, last.traffic.attempts) == (2, 0, 2)
    writer.close()


def test_what_a_listener_raises_ends_the_run(tmp_path: Path) -> None:
    heard = threading.Event()

    def listen(report: BatchReport) -> None:
        if threading.current_thread() is not threading.main_thread():
            heard.set()
            raise OSError("the disk of the log is full")

    with ProgressReporter(BEGUN, tmp_path, listen, time.monotonic()) as reporter:
        assert heard.wait(30)
        with pytest.raises(OSError, match="is full"):
            reporter.report_chunk(rows=1)


def test_without_a_listener_and_a_spool_only_chunks_are_told(tmp_path: Path) -> None:
    with ProgressReporter(BEGUN, tmp_path / "missing", None, time.monotonic() - 5) as reporter:
        report = reporter.report_chunk(rows=5)
    assert report.rows == 5
    assert report.seconds >= 5


def test_a_listener_that_ended_the_run_hears_nothing_more(tmp_path: Path) -> None:
    reported: list[BatchReport] = []

    def listen(report: BatchReport) -> None:
        reported.append(report)
        if report.rows:
            raise KeyboardInterrupt

    with ProgressReporter(BEGUN, tmp_path, listen, time.monotonic()) as reporter:
        with pytest.raises(KeyboardInterrupt):
            reporter.report_chunk(rows=1)
        for thread in threading.enumerate():
            if thread.name == "gateway_batch_progress":
                thread.join(30)
                assert not thread.is_alive()
    assert [report.rows for report in reported].count(1) == 1


def test_chunks_and_the_end_are_logged_with_their_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway_batch")
    with ProgressReporter(BEGUN, tmp_path, None, time.monotonic()) as reporter:
        reporter.report_chunk(rows=10)
        reporter.report_chunk(status=Status.COMPLETED)
    chunk, end = caplog.records
    assert chunk.getMessage().startswith(f"batch job {BEGUN.output}: 10 of")
    figures: dict[str, Any] = end.gateway_batch  # type: ignore[attr-defined]
    assert (figures["output"], figures["rows"], figures["status"]) == (BEGUN.output, 10, "completed")
    assert json.loads(json.dumps(figures)) == figures
