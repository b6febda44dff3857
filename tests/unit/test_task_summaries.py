from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway_batch.spark.ledger.task_table import TaskTable
from gateway_batch.types import Price
from gateway_batch.usage import comments
from gateway_batch.usage.arrow import TASK_SCHEMA, task_rows
from gateway_batch.usage.manifests import CommitId
from gateway_batch.usage.record import columns
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.sealed_segment import Damage, read_sealed
from gateway_batch.usage.spool import SpoolWriter, sealed_segments
from gateway_batch.usage.task_summary import TaskSummary, TokenPrice, task_line, task_lines

from .samples import answered, open_writer, record, sealed_rows

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)
SUMMARY = TaskSummary(
    summary_id="s",
    query_execution_id="7",
    stage_id=3,
    rows=10,
    failed={"bad_request": 2},
    started_at=NOON,
    price=TokenPrice.of(Price(0.075, 1.25, cache_read=1e-7)),
)


def sealed(spool_dir: Path) -> list[Path]:
    return [path for path, _ in sealed_segments(spool_dir)]


def noted(spool_dir: Path) -> list[bytes]:
    return [line for path in sealed(spool_dir) for line in task_lines(path)]


def test_a_summary_is_a_row() -> None:
    (row,) = task_rows([task_line(SUMMARY)]).to_pylist()
    assert (row["summary_id"], row["rows"], row["saved"], row["complete"]) == ("s", 10, 0, False)
    assert (row["started_at"], row["ended_at"], row["failed"]) == (NOON, None, [("bad_request", 2)])
    prices = {"input": Decimal("0.075"), "output": Decimal("1.25"), "cache_read": Decimal(0), "cache_creation": None}
    assert row["price"] == prices
    assert task_rows([]).schema == TASK_SCHEMA


@pytest.mark.parametrize("dollars", [1e12, 1e300, float("inf"), float("nan")])
def test_a_price_that_no_table_holds_is_none(dollars: float) -> None:
    assert TokenPrice.of(Price(1.0, dollars)) is None


def test_each_column_has_a_comment() -> None:
    assert list(comments.TASKS_COLUMNS) == [name for name, _ in columns(TaskSummary)]


def test_a_segment_of_summaries_alone_is_sealed_and_has_no_rows(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.note(task_line(SUMMARY))
    writer.seal()
    ((segment, name),) = sealed_segments(tmp_path)
    assert (noted(tmp_path), name.rows) == ([task_line(SUMMARY)], 0)
    damage: list[Damage] = []
    assert (list(read_sealed(segment, damage)), damage) == ([], [])


def test_a_summary_is_sealed_with_the_outcomes_before_it(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.intend(record("a"))
    writer.settle(answered("a"))
    writer.intend(record("b"))
    writer.note(task_line(SUMMARY))
    writer.seal()
    assert [row["client_metadata"]["event_id"] for row in sealed_rows(tmp_path)] == ["a"]
    assert len(sealed(tmp_path)) == len(noted(tmp_path)) == 1
    writer.settle(answered("b"))
    writer.close()
    assert len(sealed_rows(tmp_path)) == 2
    assert len(noted(tmp_path)) == 1, "a summary does not move on with pending intents"


def test_a_lost_outcome_is_found_beside_a_summary(tmp_path: Path) -> None:
    """What became of a damaged segment's requests is looked for in the next one, which has a summary in it."""
    writer = open_writer(tmp_path)
    writer.intend(record("a"))
    writer.settle(answered("a"))
    writer.seal()
    writer.note(task_line(SUMMARY))
    writer.seal()
    first, _ = sealed(tmp_path)
    first.write_bytes(first.read_bytes()[:-5] + b"\n")
    damage: list[Damage] = []
    assert len(list(read_sealed(first, damage))) == 1
    assert (damage[0].lost, damage[0].unknown) == (1, 1)


def test_a_dead_writers_summary_is_recovered(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.note(task_line(SUMMARY))
    die(writer)
    assert recover_dead_writers(tmp_path) == 1
    assert noted(tmp_path) == [task_line(SUMMARY)]
    assert sealed_rows(tmp_path) == []


def die(writer: SpoolWriter) -> None:
    """Lets go of the locks and nothing else, as a killed process does."""
    writer._locks.release()


class TaskTableInMemory(TaskTable):
    """One that remembers the last commit of each id."""

    def __init__(self, usage_table: str, commits: dict[str, CommitId]) -> None:
        super().__init__(cast(Any, None), usage_table)
        self._commits = commits

    def _is_there(self) -> bool:
        return True

    def _open(self) -> Any:
        return SimpleNamespace(local_folder=None, last_commit=self._commits.get, append=self._append)

    def _append(self, batches: list[Any], commit_id: CommitId, last: CommitId | None) -> int:
        self._commits[commit_id.drain] = commit_id
        return sum(batch.num_rows for batch in batches)


@pytest.mark.parametrize("known", [{}, {"d-spark_catalog.ai_gateway.usage": CommitId("d", 1, 5)}])
def test_summaries_are_appended_once_however_the_usage_table_is_spelled(
    tmp_path: Path, known: dict[str, CommitId]
) -> None:
    """Version 0.1 had an id of its commits for each spelling."""
    (tmp_path / "segment.log").write_bytes(task_line(TaskSummary(summary_id="s")))
    commits, appended = dict(known), []
    for name in ("spark_catalog.ai_gateway.usage", "AI_gateway.usage", "ai_gateway.usage"):
        appended.append(TaskTableInMemory(name, commits).append([tmp_path / "segment.log"], CommitId("d", 1, 5)))
        if known:
            break
    assert appended == ([0] if known else [1, 0, 0])
    assert list(commits) == (list(known) or ["d-ai_gateway.usage"])
