"""What the demo prints: tables of answers, and a bar while a query runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway_batch.cli.console import output

if TYPE_CHECKING:
    from gateway_batch.spark.gateway import Gateway

T = TypeVar("T")
_EXCERPT = 200


def answers_table(rows: list[Any], columns: dict[str, int], title: str | None = None) -> Table:
    """Rows as a table whose columns have these shares of the width; long texts are cut."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_lines=True)
    for name, ratio in columns.items():
        table.add_column(name, overflow="fold", ratio=ratio)
    for row in rows:
        table.add_row(*(_excerpt(str(value)) for value in row))
    return table


def lines_table(values: list[str], name: str) -> Table:
    """One column of texts."""
    table = Table(name, box=box.SIMPLE_HEAD)
    for value in values:
        table.add_row(_excerpt(value))
    return table


def with_progress(registered: Gateway, total: int | None, action: Callable[[], T]) -> tuple[T, float]:
    """Runs a query with a bar of what is in the spool already; returns what it came to, and its seconds.

    Args:
        registered: whose spool it is.
        total: how many requests there will be; None where rows share requests.
        action: the query.
    """
    from gateway_batch.usage.spool_progress import SpoolWatch

    spool, finished = SpoolWatch(registered.usage.spool_dir), threading.Event()
    before = spool.look()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )

    def watch(progress: Progress) -> None:
        task = progress.add_task("requests", total=total)
        while not finished.wait(0.2):
            progress.update(task, completed=spool.look().since(before).attempts)
        done = spool.look().since(before).attempts
        progress.update(task, completed=done, total=total or done)

    started = time.perf_counter()
    with Progress(*columns, console=output) as progress:
        watcher = threading.Thread(target=watch, args=(progress,))
        watcher.start()
        try:
            result = action()
        finally:
            finished.set()
            watcher.join()
    return result, time.perf_counter() - started


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"
