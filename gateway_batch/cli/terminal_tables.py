"""Usage reports as tables for the terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from gateway_batch.spark.ledger.reconcile import Reconciliation


def as_table(rows: list[dict[str, Any]], title: str) -> Table:
    """Rows as a terminal table; numbers to the right, with thousands parted."""
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for name, value in (rows[0] if rows else {"no usage recorded": None}).items():
        number = isinstance(value, int)
        table.add_column(
            name.replace("_", "\n"), justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    return table


def classes_table(reconciliation: Reconciliation) -> Table:
    """How many requests are of each class."""
    from gateway_batch.spark.ledger.reconcile import CLASSES

    table = Table(
        title="reconciled with the gateway's own record", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD
    )
    for heading in ("matched", *CLASSES):
        table.add_column(heading.replace("_", " "), justify="right")
    table.add_row(
        *(f"{count:,}" for count in (reconciliation.matched, *(reconciliation.counts.get(name, 0) for name in CLASSES)))
    )
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:,}" if isinstance(value, int) else str(value)
