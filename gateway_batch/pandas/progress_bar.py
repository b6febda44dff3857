"""A bar for calls under way: rich's in a terminal, HTML in a notebook, none elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[int, int], None]

_EVERY_S = 0.1


@contextmanager
def progress_bar(label: str, total: int, *, shown: bool | None) -> Iterator[Report | None]:
    """A bar for the time of a block, and what moves it: the `progress` of a client's call; None where none is shown.

    Args:
        label: stands before the bar.
        total: what it goes up to.
        shown: None shows it in a terminal or a notebook.
    """
    console = Console(stderr=True)
    if total == 0 or not (console.is_terminal or console.is_jupyter if shown is None else shown):
        yield None
    elif console.is_jupyter:
        yield _now_and_then(_in_notebook(label, total))
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(label, total=total)
            yield _now_and_then(lambda done, _: bar.update(task, completed=done))


def _in_notebook(label: str, total: int) -> Report:
    """Rich's own bar needs a package of widgets there, and is lost when the notebook is saved."""
    from IPython import display

    show: Any = display.display

    def bar(done: int) -> dict[str, str]:
        text = f"{done:,} of {total:,}"
        html = f'{escape(label)} <progress value="{done}" max="{total}"></progress> {text}'
        return {"text/html": html, "text/plain": f"{label}: {text}"}

    shown = show(bar(0), raw=True, display_id=True)

    def report(done: int, _: int) -> None:
        shown.update(bar(done), raw=True)

    return report


def _now_and_then(report: Report) -> Report:
    """Passes on ten reports a second, and the last one: calls must not wait for their bar."""
    due = 0.0

    def pass_on(done: int, total: int) -> None:
        nonlocal due
        if done == total or time.monotonic() >= due:
            due = time.monotonic() + _EVERY_S
            report(done, total)

    return pass_on
