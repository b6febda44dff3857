"""What shares answers, and what becomes of them afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway_batch.local_files.lifetimes import HeldFolder
from gateway_batch.response_cache import AnswerScope
from gateway_batch.spark.calls import scope
from gateway_batch.spark.calls.scope import kept_queries, query_folder, remove_query, remove_stale, scope_of


class Task:
    """The local properties of a task, as Spark hands them to a worker."""

    def __init__(self, **properties: str) -> None:
        self._stage = int(properties.pop("stage", "0"))
        self._properties = {name.replace("_", "."): value for name, value in properties.items()}

    def getLocalProperty(self, name: str) -> str | None:
        return self._properties.get(name)

    def stageId(self) -> int:
        return self._stage


QUERY = "spark_sql_execution_root_id"
STREAM, BATCH = "sql_streaming_queryId", "streaming_sql_batchId"


@pytest.fixture(autouse=True)
def _shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "shared_dir", lambda name: tmp_path / name)


def scope_in(task: Task, cache: str = "query") -> AnswerScope | None:
    return scope_of(task, "app", cache)  # type: ignore[arg-type]


def folder_of(task: Task, cache: str = "query") -> Path:
    found = scope_in(task, cache)
    assert found is not None
    found.folder.mkdir(parents=True, exist_ok=True)
    return found.folder


def age(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds, time.time() - seconds))


def test_tasks_of_a_query_share_and_others_do_not() -> None:
    assert folder_of(Task(**{QUERY: "3"})) == folder_of(Task(**{QUERY: "3"})) == query_folder("app", "3")
    assert folder_of(Task(**{QUERY: "4"})) == query_folder("app", "4")
    assert folder_of(Task(stage="3")) == folder_of(Task(stage="3")) == query_folder("app", "stage-3")
    assert scope_in(Task(**{QUERY: "3"}), "off") is None


def test_a_batch_that_is_run_again_shares_with_itself_whatever_query_it_is() -> None:
    batch = {STREAM: "s", BATCH: "7"}
    assert folder_of(Task(**batch, **{QUERY: "3"})) == folder_of(Task(**batch, **{QUERY: "9"}))


def test_failures_hold_for_a_query_also_where_answers_outlive_it() -> None:
    batch = {STREAM: "s", BATCH: "7"}
    for cache, task in (("query", {}), ("query", batch), ("run:nightly", {})):
        scopes = [scope_in(Task(**task, **{QUERY: query}), cache) for query in ("3", "4")]
        assert [scope.query for scope in scopes if scope is not None] == ["app/3", "app/4"]
    outside = scope_in(Task(stage="5"), "run:nightly")
    assert outside is not None
    assert outside.query == "app/stage-5"


def test_a_run_shares_with_all_of_its_name() -> None:
    folder = folder_of(Task(**{QUERY: "3"}), "run:nightly")
    assert folder == folder_of(Task(**{STREAM: "s", BATCH: "7"}), "run:nightly") == folder_of(Task(), "run:nightly")
    assert folder != folder_of(Task(**{QUERY: "3"}), "run:weekly")
    assert (folder.parent.name, folder.name) == ("runs", "nightly")


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
    old, recent = folder_of(Task(), "run:old"), folder_of(Task(), "run:recent")
    for folder in (stream, stream / "1", old):
        age(folder, 8 * 86_400)
    remove_stale()
    assert [folder.exists() for folder in (stream, query, old, recent)] == [False, True, False, True]


def test_what_an_ended_application_left_is_removed_at_the_next_start_and_what_a_living_one_has_stays(
    tmp_path: Path,
) -> None:
    """Of one whose driver is on another host nothing is known but when its answers were last used."""
    living = HeldFolder(tmp_path / "living")
    HeldFolder(tmp_path / "killed")._lock = None  # its descriptor is closed below, as by a kill
    _close_descriptors_of(tmp_path / "killed" / "held")
    queries = {name: query_folder(name, "1") for name in ("living", "killed", "idle", "elsewhere")}
    for folder in queries.values():
        folder.mkdir(parents=True)
        (folder / "answers.sqlite").touch()
    for name in ("living", "idle"):
        for path in (queries[name], queries[name] / "answers.sqlite"):
            age(path, 4_000)
    remove_stale()
    assert [name for name, folder in queries.items() if folder.exists()] == ["living", "elsewhere"]
    assert not (tmp_path / "killed").exists()
    living.release()


def _close_descriptors_of(path: Path) -> None:
    for descriptor in Path("/proc/self/fd").iterdir():
        if os.path.realpath(descriptor) == str(path):
            os.close(int(descriptor.name))


def test_the_answers_of_an_application_that_stopped_are_removed_and_its_counts_kept(tmp_path: Path) -> None:
    lives = True
    scope.hold_application("app", lambda: lives)
    folder, counts = folder_of(Task(**{QUERY: "1"})), tmp_path / "app" / "savings"
    counts.mkdir()
    scope.remove_stopped()
    assert folder.exists()
    lives = False
    scope.remove_stopped()
    assert (folder.exists(), counts.exists()) == (False, True)
    scope._end_all()
    assert not (tmp_path / "app").exists()
