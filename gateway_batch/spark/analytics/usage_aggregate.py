"""The queries that group a usage table's rows: cells of a UTC day, what falls into them, and sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from gateway_batch.spark.analytics.sql_files import read_sql
from gateway_batch.spark.session.sql_text import quoted

CELLS, DISTRIBUTIONS, SESSIONS = "usage_daily", "usage_daily_distributions", "usage_daily_sessions"
"""The tables of the aggregate."""


def cells_query(schema: str, days: Sequence[date]) -> str:
    """The rows that `usage_daily` has of some days, computed from the usage table's; `days` are in order."""
    return read_sql("aggregates", CELLS).format(schema=quoted(schema), of_days=_of(days))


def distributions_query(schema: str, days: Sequence[date]) -> str:
    """Day, cell, and distributions of some days' cells, computed from the usage table's rows."""
    return read_sql("aggregates", "distributions").format(schema=quoted(schema), of_days=_of(days))


def distributions_with_cells(schema: str, days: Sequence[date]) -> str:
    """The rows that `usage_daily_distributions` has of some days, of which `usage_daily` has rows already."""
    listed = ", ".join(f"DATE'{day}'" for day in days)
    return read_sql("aggregates", DISTRIBUTIONS).format(
        schema=quoted(schema), days=f"day IN ({listed})", of_days=_of(days)
    )


def session_parts_query(schema: str, days: Sequence[date]) -> str:
    """The rows that `usage_daily_sessions` has of some days, computed from the usage table's."""
    return read_sql("aggregates", SESSIONS).format(schema=quoted(schema), of_days=_of(days))


def costs_query(schema: str, cells: str) -> str:
    """The rows that `usage_costs` would have, had `usage_cells` those of another relation, named as in SQL."""
    return read_sql("aggregates", "costs").format(schema=quoted(schema), cells=cells)


def sessions_query(schema: str, parts: str) -> str:
    """The sessions that cost most, had `usage_session_parts` the rows of another relation, written as in SQL."""
    return read_sql("aggregates", "sessions").format(prices=f"{quoted(schema)}.prices", parts=parts)


def _of(days: Sequence[date]) -> str:
    """The condition that a row of the usage table is of one of the days."""
    return " OR ".join(
        f"(event_time >= {midnight(first)} AND event_time < {midnight(last + timedelta(days=1))})"
        for first, last in _runs(days)
    )


def _runs(days: Iterable[date]) -> Iterator[tuple[date, date]]:
    """First and last of the days that follow each other."""
    first = last = None
    for day in days:
        if first is None or last is None:
            first = last = day
        elif day == last + timedelta(days=1):
            last = day
        else:
            yield first, last
            first = last = day
    if first is not None and last is not None:
        yield first, last


def midnight(day: date) -> str:
    """The begin of a UTC day as SQL spells it."""
    return f"TIMESTAMP'{day} 00:00:00Z'"
