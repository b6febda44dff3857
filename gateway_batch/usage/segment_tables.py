"""Which usage table a sealed segment is for: its writer's name says it, else its header."""

from __future__ import annotations

from pathlib import Path

from gateway_batch.usage.segment import origin_of
from gateway_batch.usage.segment_names import SegmentName, key_of_table, table_key


def table_of(path: Path, name: SegmentName) -> str | None:
    """The `table_key` of the table that a segment is for; None if it names none, as those of version 0.1."""
    if (key := key_of_table(name.writer)) is not None:
        return key
    try:
        origin = origin_of(path)
    except OSError:  # drained since, or not readable: whoever opens it will see
        return None
    return None if origin is None or origin.table is None else table_key(origin.table)


def is_for(path: Path, name: SegmentName, table: str) -> bool:
    """Whether a segment is a table's to drain: it is for that table, or names none."""
    return table_of(path, name) in (None, table_key(table))


def names_no_table(path: Path, name: SegmentName) -> bool:
    """Whether a segment is for the table of whoever drains it."""
    return table_of(path, name) is None
