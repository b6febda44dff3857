"""What shares answers, and what becomes of them afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway_batch.spark import scope
from gateway_batch.spark.scope import kept_queries, query_folder, remove_query, remove_stale, scope_of


class Task:
    """The local properties of a task, as Spark hands them to a worker."""

    def __init__(self, **properties: str) -> None:
        self._properties = {name.replace("_", "."): value for name, value in properties.items()}

    def getLocalProperty(self, name: str) -> str | None:
        return self._properties.get(name)


QUERY = "spark_sql_execution_root_id"
STREAM, BATCH = "sql_streaming_queryId", "streaming_sql_batchId"


@pytest.fixture(autouse=True)
def _shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "shared_dir", lambda name: tmp_path / name)


def folder_of(task: Task) -> Path:
    found = scope_of(task, "app")  # type: ignore[arg-type]
    assert found is not None
    found.folder.mkdir(parents=True, exist_ok=True)
    return found.folder


def age(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds, time.time() - seconds))


def test_tasks_of_a_query_share_and_others_do_not() -> None:
    assert folder_of(Task(**{QUERY: "3"})) == folder_of(Task(**{QUERY: "3"})) == query_folder("app", "3")
    assert folder_of(Task(**{QUERY: "4"})) == query_folder("app", "4")
    assert scope_of(Task(), "app") is None  # type: ignore[arg-type]


def test_a_batch_that_is_run_again_shares_with_itself_whatever_query_it_is() -> None:
    batch = {STREAM: "s", BATCH: "7"}
    assert folder_of(Task(**batch, **{QUERY: "3"})) == folder_of(Task(**batch, **{QUERY: "9"}))


def test_failures_are_kept_in_a_query_and_not_in_a_stream() -> None:
    query, batch = (scope_of(Task(**task), "app") for task in ({QUERY: "3"}, {STREAM: "s", BATCH: "7"}))  # type: ignore[arg-type]
    assert query is not None
    assert query.keep_failures
    assert batch is not None
    assert not batch.keep_failures


def test_a_batch_removes_those_before_it() -> None:
    first, second = (folder_of(Task(**{STREAM: "s", BATCH: batch})) for batch in ("1", "2"))
    other = folder_of(Task(**{STREAM: "t", BATCH: "1"}))
    folder_of(Task(**{STREAM: "s", BATCH: "10"}))
    assert [folder.exists() for folder in (first, second, other)] == [False, False, True]


def test_a_query_that_ended_is_removed() -> None:
    folder_of(Task(**{QUERY: "3"}))
    assert list(kept_queries("app")) == ["3"]
    remove_query("app", "3")
    assert list(kept_queries("app")) == []
    assert list(kept_queries("another")) == []


def test_a_new_query_removes_those_that_were_not_used_for_an_hour() -> None:
    idle, used = folder_of(Task(**{QUERY: "1"})), folder_of(Task(**{QUERY: "2"}))
    age(idle, 4_000)
    folder_of(Task(**{QUERY: "3"}))
    assert (idle.exists(), used.exists()) == (False, True)


def test_what_was_left_a_week_ago_is_removed() -> None:
    stream, query = folder_of(Task(**{STREAM: "s", BATCH: "1"})).parent, folder_of(Task(**{QUERY: "1"})).parent
    for folder in (stream, stream / "1"):
        age(folder, 8 * 86_400)
    remove_stale()
    assert (stream.exists(), query.exists()) == (False, True)
