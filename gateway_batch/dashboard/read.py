"""Reads what the web page of the usage dashboard shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from gateway_batch.dashboard.cube import SESSIONS as SESSION_COLUMNS
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.cube_cells import cells_and_groups
from gateway_batch.figures import cells
from gateway_batch.figures.sessions import PARTS
from gateway_batch.spark.analytics.prices import create_prices, fill_prices
from gateway_batch.spark.analytics.usage_aggregate import (
    CELLS,
    DISTRIBUTIONS,
    SESSIONS,
    cells_query,
    costs_query,
    distributions_query,
    midnight,
    session_parts_query,
    sessions_query,
)
from gateway_batch.spark.analytics.views import create_first_view
from gateway_batch.spark.session.sql_text import quoted

DAYS = 56
"""28, and as many before to compare with."""

_CELLS = [column.name for column in cells.CELLS]
_PARTS = [column.name for column in PARTS]
_SPREADS = ("day", "cell", "latencies", "first_bytes", "hours")
_OURS = "_gateway_batch_cells"


def read_cube(
    spark: SparkSession,
    usage_table: str = "ai_gateway.usage",
    schema: str = "ai_gateway",
    *,
    days: int = DAYS,
    now: datetime | None = None,
) -> UsageCube:
    """The usage of the last days that have any, up to today.

    Days that the aggregate has are read from there, others from the usage table's rows, once.

    Args:
        spark: a session that may make tables and views in the schema.
        usage_table: ours, or `system.ai_gateway.usage`.
        schema: that of the aggregate and the prices; made, if it is missing.
        days: at most, from the first to the last with usage.
        now: the time, for tests.

    Raises:
        ConfigError: as `create_views`.
    """
    now = now or datetime.now(UTC)
    complete = create_first_view(spark, usage_table, schema)
    create_prices(spark, schema)
    fill_prices(spark, schema, since=complete)
    last = _last_day(spark, schema, complete, now.astimezone(UTC).date())
    first = last - timedelta(days=days - 1)
    fresh_from = max(first, complete or first)
    fresh = [fresh_from + timedelta(days=number) for number in range((last - fresh_from).days + 1)]
    kept = f"day >= DATE'{first}' AND day < DATE'{fresh_from}'" if first < fresh_from else ""
    rows = _rows(spark, schema, _from_both(schema, CELLS, kept, cells_query(schema, fresh) if fresh else "", _CELLS))
    spreads = spark.sql(
        _from_both(schema, DISTRIBUTIONS, kept, distributions_query(schema, fresh) if fresh else "", _SPREADS)
    )
    found, groups = cells_and_groups(rows, spreads.toArrow())
    first_used = pc.min(found["day"]).as_py()
    parts = _from_both(schema, SESSIONS, kept, session_parts_query(schema, fresh) if fresh else "", _PARTS)
    sessions = spark.sql(sessions_query(schema, f"({parts})")).select(*SESSION_COLUMNS.names).toArrow()
    return UsageCube(found, groups, sessions.cast(SESSION_COLUMNS), usage_table, now, first_used or first, last)


def _last_day(spark: SparkSession, schema: str, complete: date | None, today: date) -> date:
    """The last day with usage, today at most; today where there is none."""
    begin = f"event_time >= {midnight(complete)} AND " if complete else ""
    tomorrow = midnight(today + timedelta(days=1))
    days = f"SELECT day FROM {quoted(schema)}.usage_invocations WHERE {begin}event_time < {tomorrow}"
    if complete:
        days += (
            f" UNION ALL SELECT day FROM {quoted(schema)}.{CELLS} WHERE day < DATE'{complete}' AND day <= DATE'{today}'"
        )
    row = spark.sql(f"SELECT max(day) AS day FROM ({days})").first()
    return today if row is None or row["day"] is None else row["day"]


def _from_both(schema: str, table: str, kept: str, fresh: str, columns: Sequence[str]) -> str:
    """A query for rows that a table of the aggregate has, by a condition, and rows that a query computes."""
    names = ", ".join(columns)
    parts = [f"SELECT {names} FROM {quoted(schema)}.{table} WHERE {kept}"] if kept else []
    parts += [f"SELECT {names} FROM (\n{fresh})"] if fresh else []
    return "\nUNION ALL\n".join(parts)


def _rows(spark: SparkSession, schema: str, query: str) -> pa.Table:
    """The rows of `usage_costs`, had `usage_cells` the rows of a query."""
    spark.sql(query).createOrReplaceTempView(_OURS)
    try:
        return spark.sql(costs_query(schema, _OURS)).toArrow()
    finally:
        spark.catalog.dropTempView(_OURS)
