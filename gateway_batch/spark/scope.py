"""How far an answer reaches: a query of an application, or a micro-batch of a stream."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark import TaskContext

from gateway_batch.runtime import shared_dir

_KEPT_S = 7 * 86_400.0
_IDLE_S = 3_600.0
_ROOT_EXECUTION = "spark.sql.execution.root.id"
_STREAM, _BATCH = "sql.streaming.queryId", "streaming.sql.batchId"


@dataclass(frozen=True)
class Scope:
    """What shares its answers on a host.

    Attributes:
        folder: where they are kept.
        keep_failures: False for a stream: its batch comes again after what was wrong is mended.
    """

    folder: Path
    keep_failures: bool


def scope_of(context: TaskContext, application_id: str) -> Scope | None:
    """The scope of a task; None where Spark names no query, as in an action on an RDD.

    A micro-batch keeps its number when it is run again, also by another application from the checkpoint.
    """
    stream, batch = context.getLocalProperty(_STREAM), context.getLocalProperty(_BATCH)
    if stream and batch:
        batches = shared_dir("streams") / stream
        _remove_earlier(batches, int(batch))
        return Scope(batches / batch, keep_failures=False)
    execution = context.getLocalProperty(_ROOT_EXECUTION)
    if not execution:
        return None
    scope = Scope(query_folder(application_id, execution), keep_failures=True)
    if not scope.folder.exists():
        _remove_idle(_queries(application_id))
    return scope


def query_folder(application_id: str, execution_id: str) -> Path:
    """Where a query's answers are kept."""
    return _queries(application_id) / execution_id


def kept_queries(application_id: str) -> Iterator[str]:
    """Execution ids of an application's queries that have answers on this host."""
    folder = _queries(application_id)
    return (path.name for path in folder.iterdir()) if folder.is_dir() else iter(())


def remove_query(application_id: str, execution_id: str) -> None:
    """Removes the answers of a query that has ended."""
    shutil.rmtree(query_folder(application_id, execution_id), ignore_errors=True)


def remove_stale() -> None:
    """Removes what applications and streams left on this host that did nothing for a week."""
    for folder in [*shared_dir("streams").glob("*"), *shared_dir("").glob("*/answers")]:
        _remove_unused(folder, _KEPT_S)


def _remove_idle(queries: Path) -> None:
    """On an executor's host nobody hears of a query's end."""
    for folder in queries.glob("*"):
        _remove_unused(folder, _IDLE_S)


def _remove_unused(folder: Path, seconds: float) -> None:
    with contextlib.suppress(OSError):
        if max(path.stat().st_mtime for path in [folder, *folder.iterdir()]) < time.time() - seconds:
            shutil.rmtree(folder)


def _queries(application_id: str) -> Path:
    return shared_dir(application_id) / "answers"


def _remove_earlier(batches: Path, batch: int) -> None:
    """A batch begins once those before it are committed: they don't come again."""
    if batches.is_dir():
        for folder in batches.iterdir():
            if folder.name.isdigit() and int(folder.name) < batch:
                shutil.rmtree(folder, ignore_errors=True)
