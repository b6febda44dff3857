"""Views of a usage table: what the pages of Databricks' usage dashboard show, and what it cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from gateway_batch.config import check_table_name
from gateway_batch.errors import ConfigError
from gateway_batch.figures import cells, sessions
from gateway_batch.figures.dimensions import Column
from gateway_batch.spark.analytics.prices import NAME as PRICES
from gateway_batch.spark.analytics.prices import create_prices, fill_prices
from gateway_batch.spark.analytics.usage_aggregate import CELLS, DISTRIBUTIONS, SESSIONS
from gateway_batch.spark.analytics.view_files import MARK, View, read_views
from gateway_batch.spark.ledger.usage_table import table_ddl
from gateway_batch.spark.session.quiet_session import active_session
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage import price_row
from gateway_batch.usage.price_row import PriceRecord

READ_COLUMNS = (
    "request_id", "invocation_id", "endpoint_name", "event_time", "latency_ms", "time_to_first_byte_ms",
    "workspace_id", "destination_type", "destination_model", "requester", "requester_type", "user_agent", "api_type",
    "request_tags", "input_tokens", "output_tokens", "total_tokens", "token_details", "status_code", "service_type",
    "service_name", "mcp_metadata", "invocation_metadata", "session_metadata",
)  # fmt: skip
"""Columns of `system.ai_gateway.usage` that the views read; of ours, none."""


def create_views(
    spark: SparkSession, usage_table: str = "ai_gateway.usage", schema: str = "ai_gateway", *, billing: bool = False
) -> list[str]:
    """Makes the views of a usage table, or makes them anew, with the table of prices that some of them read.

    List prices that the table of prices lacks, of models that the usage table names, are added to it. A session without
    a metastore forgets views as it ends, so each makes them; a second usage table needs a schema of its own.

    Args:
        spark: a session that may make tables and views in the schema.
        usage_table: ours, or `system.ai_gateway.usage`.
        schema: where the views and the table of prices are; made, if it is missing.
        billing: whether to make the views of `system.billing`, too, which only Databricks has.

    Returns:
        The views' names.

    Raises:
        ConfigError: there is no such table, it lacks columns, or there is a table or view of a view's name that is not
            ours.
        PySparkException: the session may not make them.
    """
    first, *others = views_with(billing)
    complete = create_first_view(spark, usage_table, schema)
    names = [f"{schema}.{view.name}" for view in others]
    for name in names:
        _check_is_ours(spark, name)
    create_prices(spark, schema)
    for view in others:
        spark.sql(view.statement(usage_table, schema, complete))
    fill_prices(spark, schema, since=complete)
    return [f"{schema}.{first.name}", *names]


def create_first_view(spark: SparkSession, usage_table: str, schema: str) -> date | None:
    """Makes the view `usage_invocations` alone, from which the others are made and the aggregate.

    Returns:
        As `complete_before`.

    Raises:
        ConfigError: as `create_views`.
    """
    check_names(usage_table, schema)
    _check_table(spark, usage_table)
    complete = complete_before(spark, usage_table, schema)
    view = read_views()[0]
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    _check_is_ours(spark, f"{schema}.{view.name}")
    spark.sql(view.statement(usage_table, schema, complete))
    return complete


def complete_before(spark: SparkSession, usage_table: str, schema: str) -> date | None:
    """The day before which the aggregate in a schema has all days; None where there is no aggregate.

    None too where an earlier version made it, with fewer columns or tables: the next refresh computes it anew.

    Raises:
        ConfigError: it is of another usage table.
    """
    refreshes = f"{schema}.usage_refreshes"
    if not spark.catalog.tableExists(quoted(refreshes)):
        return None
    last = spark.sql(f"SELECT usage_table, complete_before FROM {quoted(refreshes)} ORDER BY refreshed_at DESC").first()
    if last is None:
        return None
    if last["usage_table"].lower() != usage_table.lower():
        raise ConfigError(
            f"{schema} has the aggregate of {last['usage_table']}: the views of {usage_table} need another schema"
        )
    if any(missing_columns(spark, schema).values()):
        return None
    found: date | None = last["complete_before"]
    return found


def missing_columns(spark: SparkSession, schema: str) -> dict[str, list[Column]]:
    """The columns that the aggregate's tables lack, by the tables' names: all, where there is no table."""
    tables = {CELLS: cells.CELLS, DISTRIBUTIONS: cells.SPREADS, SESSIONS: sessions.PARTS}
    names = {name: quoted(f"{schema}.{name}") for name in tables}
    has = {
        name: set(spark.table(table).columns) if spark.catalog.tableExists(table) else set()
        for name, table in names.items()
    }
    return {name: [column for column in columns if column.name not in has[name]] for name, columns in tables.items()}


def views_with(billing: bool) -> list[View]:
    """The views, and those of `system.billing` if they are wanted."""
    return [*read_views(), *(read_views("views/databricks") if billing else [])]


def statements(usage_table: str, schema: str, *, billing: bool = False) -> dict[str, str]:
    """What makes the table of prices, empty, and the views, by their names, in the order in which they can be made.

    Raises:
        ConfigError: one of the names is none.
    """
    check_names(usage_table, schema)
    made = {PRICES: table_ddl(f"{schema}.{PRICES}", PriceRecord, price_row.TABLE, price_row.COLUMNS)}
    return made | {view.name: view.statement(usage_table, schema) for view in views_with(billing)}


def names_views(query: str, schema: str) -> bool:
    """Whether a query names a view of the schema, which a session without a metastore has to make first."""
    named = query.lower().replace("`", "")
    return any(f"{schema}.{view.name}".lower() in named for view in read_views())


@contextlib.contextmanager
def session_for(warehouse: Path) -> Iterator[tuple[SparkSession, bool]]:
    """The active session, else a local one for the time, and whether views outlive it.

    Raises:
        ConfigError: no session is active, and there is no such folder.
    """
    if SparkSession.getActiveSession() is None and not warehouse.is_dir():
        raise ConfigError(f"no such folder: {warehouse}; --warehouse names the folder of the tables")
    with active_session(warehouse) as spark:
        yield spark, _keeps_views(spark)


def _keeps_views(spark: SparkSession) -> bool:
    return spark.conf.get("spark.sql.catalogImplementation") != "in-memory"


def check_names(usage_table: str, schema: str) -> None:
    """Raises ConfigError where one of them is no name of a table or a schema."""
    for name, parts, example in ((usage_table, 3, "ai_gateway.usage"), (schema, 2, "ai_gateway or main.ai_gateway")):
        try:
            check_table_name(name)
        except ValueError:
            raise ConfigError(f"{name!r} is not a name such as {example}") from None
        if name.count(".") >= parts:
            raise ConfigError(f"{name!r} is not a name such as {example}")


def _check_table(spark: SparkSession, usage_table: str) -> None:
    if not spark.catalog.tableExists(quoted(usage_table)):
        raise ConfigError(f"no usage table {usage_table}: nothing was recorded there yet, or you may not see it")
    has = {name.lower() for name in spark.table(quoted(usage_table)).columns}
    if missing := [name for name in READ_COLUMNS if name not in has]:
        raise ConfigError(f"{usage_table} lacks columns of a usage table: {', '.join(missing)}")


def _check_is_ours(spark: SparkSession, name: str) -> None:
    as_sql, catalog = quoted(name), spark.catalog
    if catalog.tableExists(as_sql) and not (catalog.getTable(as_sql).description or "").endswith(MARK):
        raise ConfigError(f"{name}: there is a table or view of that name already, and it is not gateway_batch's")
