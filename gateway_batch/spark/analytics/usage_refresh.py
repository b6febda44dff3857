"""The aggregate of a usage table: whole UTC days, kept up with what is new.

The tables `usage_daily`, `usage_daily_distributions` and `usage_daily_sessions` have the days that ended some hours
ago. A refresh compares how many rows each of the last days has here and there, and computes those anew that differ.
Where the rest of the table has not as many rows as the aggregate says, which the table's log says without reading it,
all days are compared: rows of long ago were added or deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import LedgerError
from gateway_batch.spark.analytics.sql_files import read_sql
from gateway_batch.spark.analytics.usage_aggregate import (
    CELLS,
    DISTRIBUTIONS,
    SESSIONS,
    cells_query,
    distributions_with_cells,
    midnight,
    session_parts_query,
)
from gateway_batch.spark.analytics.views import create_first_view, create_views, missing_columns
from gateway_batch.spark.delta_tables.creation import add_columns, make_table
from gateway_batch.spark.delta_tables.lock import table_lock
from gateway_batch.spark.delta_tables.spark_writer import SparkDeltaWriter
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import literal, quoted

REFRESHES = "usage_refreshes"

_LATE = timedelta(hours=3)
"""Rows of Databricks' own table are up to two hours late."""
_STILL_CHECKED = timedelta(days=3)
_ROWS_A_COMMIT = 20_000_000


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did.

    Attributes:
        days: that were computed, in order.
        invocations: rows of the usage table in these.
        complete_before: days before this one are in the aggregate.
    """

    days: tuple[date, ...]
    invocations: int
    complete_before: date


def refresh_usage(
    spark: SparkSession,
    usage_table: str = "ai_gateway.usage",
    schema: str = "ai_gateway",
    *,
    everything: bool = False,
    now: datetime | None = None,
) -> Refreshed:
    """Brings the aggregate of a usage table up to date, and makes the views that read it.

    It costs about as much as reading the days that have new rows, and once a day the day that has ended. Two at a time
    do no harm: one may fail and is to be run again.

    Args:
        spark: a session that may make tables and views in the schema.
        usage_table: ours, or `system.ai_gateway.usage`.
        schema: where the views and the aggregate are; made, if it is missing.
        everything: computes all days anew.
        now: the time, for tests; a day is complete three hours after its end.

    Raises:
        ConfigError: as `create_views`, or the schema has the aggregate of another usage table.
        LedgerError: it can't be written, or another refresh is under way.
    """
    until = ((now or datetime.now(UTC)).astimezone(UTC) - _LATE).date()
    known = create_first_view(spark, usage_table, schema)
    try:
        for name in (CELLS, REFRESHES):
            _make(spark, schema, name)
        with table_lock(SparkDeltaWriter(spark, f"{schema}.{CELLS}").local_folder):
            _renew(spark, usage_table, schema)
            for name in (DISTRIBUTIONS, SESSIONS):
                _make(spark, schema, name)
            refreshed = _refresh(spark, usage_table, schema, everything, known, until)
    except WRITE_ERRORS as error:
        raise LedgerError(
            f"the aggregate of {usage_table} in {schema} can't be refreshed: {first_line(error)} "
            "What it has is kept; run it again."
        ) from error
    create_views(spark, usage_table, schema)
    return refreshed


def _make(spark: SparkSession, schema: str, name: str) -> None:
    make_table(spark, f"{schema}.{name}", read_sql("tables", name).format(schema=quoted(schema)))


def _renew(spark: SparkSession, usage_table: str, schema: str) -> None:
    """Empties an aggregate that an earlier version made, and gives it the columns that it lacks.

    That there is none is noted first: views read rows until it is complete again, also after a refresh that died here,
    or before it had made the tables that are missing.
    """
    missing = missing_columns(spark, schema)
    if not any(missing.values()) or spark.table(f"{quoted(schema)}.{REFRESHES}").isEmpty():
        return
    _note(spark, usage_table, schema, None, {})
    for name, columns in missing.items():
        if not spark.catalog.tableExists(f"{quoted(schema)}.{name}"):
            continue
        spark.sql(f"DELETE FROM {quoted(schema)}.{name}")
        if columns:
            described = [f"{each.name} {each.type} COMMENT {literal(each.meaning)}" for each in columns]
            add_columns(spark, f"{schema}.{name}", described)


def _refresh(
    spark: SparkSession, usage_table: str, schema: str, everything: bool, known: date | None, until: date
) -> Refreshed:
    until = max(until, known or until)
    changed: dict[date, int]
    if everything:
        changed = _rows_by_day(spark, schema, None, until)
    else:
        since = None if known is None else known - _STILL_CHECKED
        if since is not None and not _agree_before(spark, schema, since):
            since = None
        changed = _changed(spark, schema, since, until)
    for days in _portions(changed):
        _compute(spark, schema, days)
    if changed or known != until:
        _note(spark, usage_table, schema, until, changed)
    return Refreshed(tuple(sorted(changed)), sum(changed.values()), until)


def _changed(spark: SparkSession, schema: str, since: date | None, until: date) -> dict[date, int]:
    """Days whose rows are not as many as the aggregate says, with how many they are."""
    rows = _rows_by_day(spark, schema, since, until)
    cells, of_agents, distributions, sessions = _invocations_by_day(spark, schema, since)
    return {
        day: rows[day]
        for day in rows.keys() | cells.keys() | distributions.keys() | sessions.keys()
        if not (cells[day] == distributions[day] == rows[day] and sessions[day] == of_agents[day])
    }


def _agree_before(spark: SparkSession, schema: str, day: date) -> bool:
    """Whether there are as many rows before a day as the aggregate says; reads the later ones only."""
    usage = f"{quoted(schema)}.usage_invocations"
    (everywhere,) = _first(spark, f"SELECT count(*) FROM {usage}")
    (later,) = _first(spark, f"SELECT count(*) FROM {usage} WHERE {_since(day)} OR event_time IS NULL")
    (ours,) = _first(
        spark, f"SELECT coalesce(sum(invocations), 0) FROM {quoted(schema)}.{CELLS} WHERE day < DATE'{day}'"
    )
    return bool(everywhere - later == ours)


def _rows_by_day(spark: SparkSession, schema: str, since: date | None, until: date) -> Counter[date]:
    begin = f"{_since(since)} AND " if since else ""
    rows = spark.sql(
        f"SELECT day, count(*) AS rows FROM {quoted(schema)}.usage_invocations "
        f"WHERE {begin}event_time < {midnight(until)} GROUP BY day"
    ).collect()
    return Counter({row["day"]: row["rows"] for row in rows})


def _invocations_by_day(spark: SparkSession, schema: str, since: date | None) -> list[Counter[date]]:
    """Those of the cells, of the cells of coding agents, of the distributions and of the sessions."""
    counted = ((CELLS, ""), (CELLS, "coding_agent IS NOT NULL AND "), (DISTRIBUTIONS, ""), (SESSIONS, ""))
    rows = spark.sql(
        " UNION ALL ".join(
            f"SELECT {place} AS place, day, sum(invocations) AS rows FROM {quoted(schema)}.{table} "
            f"WHERE {only}day >= DATE'{since or date.min}' GROUP BY day"
            for place, (table, only) in enumerate(counted)
        )
    ).collect()
    return [
        Counter({row["day"]: row["rows"] for row in rows if row["place"] == place}) for place in range(len(counted))
    ]


def _compute(spark: SparkSession, schema: str, days: Iterable[date]) -> None:
    """Replaces the days' rows in the tables; a day without rows has none afterwards."""
    days = sorted(days)
    for table, query in (
        (CELLS, cells_query(schema, days)),
        (DISTRIBUTIONS, distributions_with_cells(schema, days)),
        (SESSIONS, session_parts_query(schema, days)),
    ):
        spark.sql(query).writeTo(quoted(f"{schema}.{table}")).overwrite(F.col("day").isin(days))


def _note(spark: SparkSession, usage_table: str, schema: str, until: date | None, changed: Mapping[date, int]) -> None:
    complete = f"DATE'{until}'" if until else "NULL"
    spark.sql(
        f"INSERT INTO {quoted(schema)}.{REFRESHES} (refreshed_at, usage_table, complete_before, days, invocations) "
        f"VALUES (current_timestamp(), {literal(usage_table)}, {complete}, {len(changed)}, {sum(changed.values())})"
    )


def _portions(changed: Mapping[date, int]) -> Iterator[list[date]]:
    """Days in order, as many at a time as have a given number of rows."""
    days: list[date] = []
    rows = 0
    for day in sorted(changed):
        if days and rows + changed[day] > _ROWS_A_COMMIT:
            yield days
            days, rows = [], 0
        days.append(day)
        rows += changed[day]
    if days:
        yield days


def _since(day: date) -> str:
    return f"event_time >= {midnight(day)}"


def _first(spark: SparkSession, query: str) -> tuple[int, ...]:
    row = spark.sql(query).first()
    assert row is not None
    return tuple(row)
