"""Reads what the web page of the usage dashboard shows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pyspark.sql import SparkSession

from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.cubing import cells_and_groups
from gateway_batch.spark.usage_aggregate import CELLS, DISTRIBUTIONS, cells_query, distributions_query
from gateway_batch.spark.usage_table import quoted
from gateway_batch.spark.view_files import read_views
from gateway_batch.spark.views import complete_before, create_views

_PRICED = "_gateway_batch_cells"


def read_cube(
    spark: SparkSession,
    usage_table: str = "ai_gateway.usage",
    schema: str = "ai_gateway",
    *,
    days: int = 56,
    now: datetime | None = None,
) -> UsageCube:
    """The usage of the last days that have any, up to today.

    Days that the aggregate has are read from there, others from the usage table's rows, once.

    Args:
        spark: a session that may make tables and views in the schema.
        usage_table: ours, or `system.ai_gateway.usage`.
        schema: that of the views; they are made.
        days: so many, the last of them with usage.
        now: the time, for tests.

    Raises:
        ConfigError: as `create_views`.
    """
    now = now or datetime.now(UTC)
    create_views(spark, usage_table, schema)
    last = _last_day(spark, schema, now.astimezone(UTC).date())
    first = last - timedelta(days=days - 1)
    fresh_from = max(first, complete_before(spark, usage_table, schema) or first)
    fresh = [fresh_from + timedelta(days=number) for number in range((last - fresh_from).days + 1)]
    rows = _read(spark, f"{schema}.{CELLS}", first, fresh_from, cells_query(schema, fresh) if fresh else None)
    spreads = _read(
        spark, f"{schema}.{DISTRIBUTIONS}", first, fresh_from, distributions_query(schema, fresh) if fresh else None
    )
    cells, groups = cells_and_groups(_with_costs(spark, schema, rows), spreads)
    return UsageCube(cells, groups, usage_table, now, first, last)


def _last_day(spark: SparkSession, schema: str, today: date) -> date:
    row = spark.sql(f"SELECT max(day) AS day FROM {quoted(schema)}.usage_cells WHERE day <= DATE'{today}'").first()
    return today if row is None or row["day"] is None else row["day"]


def _read(spark: SparkSession, table: str, first: date, fresh_from: date, fresh: str | None) -> pa.Table:
    """Rows that the aggregate has, and rows of later days that a query computes."""
    parts = []
    if fresh is not None:
        parts.append(spark.sql(fresh).toArrow())
    if first < fresh_from:
        names = ", ".join(parts[0].column_names) if parts else "*"
        in_days = f"day >= DATE'{first}' AND day < DATE'{fresh_from}'"
        parts.append(spark.sql(f"SELECT {names} FROM {quoted(table)} WHERE {in_days}").toArrow())
    return pa.concat_tables(parts, promote_options="permissive")


def _with_costs(spark: SparkSession, schema: str, rows: pa.Table) -> pa.Table:
    """Adds what the view `usage_costs` adds. Its query is asked for these rows, each a request group of its own."""
    numbers = pa.array(map(str, range(len(rows))), pa.string())
    numbered = rows.drop_columns(["request_group"]).append_column("request_group", numbers)
    spark.createDataFrame(numbered).createOrReplaceTempView(_PRICED)
    try:
        view = next(view for view in read_views() if view.name == "usage_costs")
        query = view.query("", schema).replace(f"{quoted(schema)}.usage_cells", _PRICED)
        costs = spark.sql(
            f"SELECT CAST(request_group AS INT) AS number, cost_usd, unpriced_tokens FROM ({query}) ORDER BY number"
        ).toArrow()
    finally:
        spark.catalog.dropTempView(_PRICED)
    return rows.append_column("cost_usd", costs["cost_usd"]).append_column("unpriced_tokens", costs["unpriced_tokens"])
