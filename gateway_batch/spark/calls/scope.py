"""How far an answer reaches: a query of an application, a micro-batch of a stream, or a named run."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pyspark import TaskContext

from gateway_batch.config import run_of
from gateway_batch.local_files.lifetimes import HeldFolder, is_held, remove_ended
from gateway_batch.response_cache import AnswerScope
from gateway_batch.response_cache.process_cache import hold, shared_dir

_KEPT_S = 7 * 86_400
_DAY_S = 86_400
_IDLE_S = 3_600
_ROOT_EXECUTION = "spark.sql.execution.root.id"
_STAGE = "stage-"
_PLAN = "gateway_batch.plan"  # set by SharedAnswers.java
_applications: dict[str, tuple[HeldFolder, Callable[[], bool]]] = {}
"""The applications whose driver this process is, or was."""

_STREAM, _BATCH = "sql.streaming.queryId", "streaming.sql.batchId"


def query_of(context: TaskContext) -> str:
    """What a task is part of: a query, by its execution id; an action on an RDD has none, there it is the stage."""
    return context.getLocalProperty(_ROOT_EXECUTION) or f"{_STAGE}{context.stageId()}"


def is_stage(query: str) -> bool:
    """Whether a query by `query_of` is the stage of an action on an RDD."""
    return query.startswith(_STAGE)


def scope_of(context: TaskContext, application_id: str, cache: str) -> AnswerScope | None:
    """The scope of a task; None where there is none, as with `off`.

    A micro-batch keeps its number when it is run again, also by another application from the checkpoint.

    Args:
        context: of the task.
        application_id: of its application.
        cache: the setting.
    """
    query = execution = query_of(context)
    if is_stage(query):  # an action on an RDD, whose stages and jobs have their plan in common
        query = context.getLocalProperty(_PLAN) or query
    stream, batch = context.getLocalProperty(_STREAM), context.getLocalProperty(_BATCH)

    def scope(name: str, kept_s: int) -> AnswerScope:
        return AnswerScope(name, shared_dir(name), application_id, execution, kept_s)

    if cache == "off":
        return None
    if (run := run_of(cache)) is not None:
        return scope(f"runs/{run}", _KEPT_S)
    if stream and batch:
        _remove_earlier(shared_dir("streams") / stream, int(batch))
        return scope(f"streams/{stream}/{batch}", _DAY_S)
    found = scope(_query(application_id, query), _IDLE_S)
    if not found.folder.exists():
        _remove_idle(found.folder.parent)
    return found


def query_folder(application_id: str, execution_id: str) -> Path:
    """Where a query's answers are kept."""
    return shared_dir(_query(application_id, execution_id))


def kept_queries(application_id: str) -> Iterator[str]:
    """An application's queries that have answers on this host: execution ids, and names of what is no SQL query."""
    folder = query_folder(application_id, "")
    return (path.name for path in folder.iterdir()) if folder.is_dir() else iter(())


def remove_query(application_id: str, execution_id: str) -> None:
    """Removes the answers of a query that has ended."""
    shutil.rmtree(query_folder(application_id, execution_id), ignore_errors=True)


def remove_run(cache: str) -> None:
    """Removes the answers that this host keeps for a run, by the setting `cache`."""
    if (run := run_of(cache)) is not None:
        shutil.rmtree(shared_dir(f"runs/{run}"), ignore_errors=True)


def hold_application(application_id: str, lives: Callable[[], bool]) -> None:
    """Keeps what an application has on this host until this process, its driver, ends.

    Args:
        application_id: of the application.
        lives: whether it has not stopped.
    """
    if application_id not in _applications:
        _applications[application_id] = hold(shared_dir(application_id)), lives


def remove_stopped() -> None:
    """Removes the answers of this process's applications that have stopped."""
    for application_id, (_, lives) in list(_applications.items()):
        if not lives():
            shutil.rmtree(query_folder(application_id, ""), ignore_errors=True)


@atexit.register
def _end_all() -> None:
    while _applications:
        held, _ = _applications.popitem()[1]
        held.release()


def remove_stale() -> None:
    """Removes what ended applications left on this host, and streams and runs that did nothing for a week.

    An application whose driver is on another host is taken for ended as its queries are, each after an hour.
    """
    base = shared_dir("")
    remove_stopped()
    remove_ended(base)
    for query in base.glob("*/answers/*"):
        if not is_held(query.parent.parent):
            _remove_unused(query, _IDLE_S)
    for kind in ("streams/*", "runs/*", "*/answers", "*/savings"):
        for folder in base.glob(kind):
            _remove_unused(folder, _KEPT_S)


def _query(application_id: str, execution_id: str) -> str:
    return f"{application_id}/answers/{execution_id}"


def _remove_idle(queries: Path) -> None:
    """On an executor's host nobody hears of a query's end."""
    for folder in queries.glob("*"):
        _remove_unused(folder, _IDLE_S)


def _remove_unused(folder: Path, seconds: float) -> None:
    with contextlib.suppress(OSError):
        if max(path.stat().st_mtime for path in [folder, *folder.iterdir()]) < time.time() - seconds:
            shutil.rmtree(folder)


def _remove_earlier(batches: Path, batch: int) -> None:
    """A batch begins once those before it are committed: they don't come again."""
    if batches.is_dir():
        for folder in batches.iterdir():
            if folder.name.isdigit() and int(folder.name) < batch:
                shutil.rmtree(folder, ignore_errors=True)
