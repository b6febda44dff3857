"""Every figure of every view, against `view_figures`; and tables that are not as they should be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.errors import ConfigError
from gateway_batch.spark.analytics.prices import fill_prices
from gateway_batch.spark.analytics.run_view import create_run_view
from gateway_batch.spark.analytics.view_files import read_views
from gateway_batch.spark.analytics.views import create_first_view
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.analytics.usage_views import (
    COMMENTS,
    VIEWS,
    Usage,
    add_prices,
    assert_same,
    make,
    one,
    only_views,
    price,
    records,
    rows_of,
)
from tests.analytics.view_figures import figures_of
from tests.usage_days import usage_days

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("view", VIEWS)
def test_every_figure_is_as_worked_out_apart(usage: Usage, view: str) -> None:
    assert_same(view, usage.view(view).to_pylist(), usage.wanted(view))


def test_columns_are_described_where_people_find_them(usage: Usage) -> None:
    for view in read_views():
        comments = {field.name: field.metadata.get("comment") for field in usage.frame(view.name).schema}
        assert comments == COMMENTS[view.name]
        described = usage.spark.catalog.getTable(f"{usage.schema}.{view.name}").description
        assert re.fullmatch(r"One row for each .+ By gateway_batch\.", described or "")


def test_money_is_decimal(usage: Usage) -> None:
    for view in VIEWS:
        for name, kind in usage.frame(view).dtypes:
            assert not name.endswith("cost_usd") or kind.startswith("decimal"), (view, name)


def test_the_command_makes_them_in_the_session_that_is_active(deployed: tuple[Usage, str]) -> None:
    """Of a table with exactly the columns of Databricks' own."""
    usage, said = deployed
    assert tuple(usage.spark.table(usage.table).columns) == MIRRORED_COLUMNS
    assert json.loads(said) == {"views": [f"{usage.schema}.{view}" for view in VIEWS], "kept": False}


@pytest.fixture
def far_from_utc(spark: SparkSession) -> Iterator[None]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kathmandu")
    yield
    spark.conf.set("spark.sql.session.timeZone", before or "UTC")


@pytest.mark.usefixtures("far_from_utc")
def test_neither_the_session_s_time_zone_nor_our_own_column_changes_a_figure(spark: SparkSession) -> None:
    """Days and hours are UTC."""
    schema, table = "views_tz", "views_tz.usage"
    rows = pa.concat_tables(usage_days(300, 3))
    make(spark, table, [rows])
    assert "client_metadata" in spark.table(table).columns
    figures = figures_of(records(rows), [])
    for view in read_views():
        if view.name in ("usage_invocations", "usage_cells", "usage_session_parts") or view.name.startswith(
            "overview_"
        ):
            spark.sql(view.statement(table, schema))
            assert_same(view.name, rows_of(spark, f"{schema}.{view.name}"), figures[view.name]())


def test_list_prices_are_added_once_and_again_only_when_they_change(spark: SparkSession) -> None:
    schema = "views_prices"
    tables = [
        one(invocation_id=name, request_id=name, destination_model=name, input_tokens=10, output_tokens=1)
        for name in ("gpt-5.4", "Claude Sonnet 4", "my-own", "o4-mini")
    ]
    make(spark, f"{schema}.usage", [pa.concat_tables(tables)])
    with only_views("usage_invocations", "usage_cells", "usage_costs"):
        gb.create_views(spark, f"{schema}.usage", schema)
    first = {row["model"]: row for row in rows_of(spark, f"{schema}.prices")}
    assert set(first) == {"gpt-5-4", "claude-sonnet-4", "o4-mini"}
    assert {row["valid_from"] for row in first.values()} == {datetime(1970, 1, 1, tzinfo=UTC)}
    assert {row["source"] for row in first.values()} == {"genai-prices"}
    assert fill_prices(spark, schema) == 0

    add_prices(spark, schema, [price("gpt-5-4", "1", "1", source="genai-prices"), price("o4-mini", "1", "1")])
    assert fill_prices(spark, schema) == 1
    prices = [row for row in rows_of(spark, f"{schema}.prices") if row["model"] == "gpt-5-4"]
    listed = first["gpt-5-4"]["output_usd_per_million"]
    by_time = sorted(prices, key=lambda row: row["valid_from"])
    assert [row["output_usd_per_million"] for row in by_time] == [listed, 1, listed]
    costs = {row["model"]: row["cost_usd"] for row in rows_of(spark, f"{schema}.usage_costs")}
    assert costs["my-own"] is None
    assert costs["o4-mini"] == Decimal("0.000011")  # its own price began after the listed one


def test_a_query_s_cost_is_unknown_where_any_of_its_tokens_have_no_price(spark: SparkSession) -> None:
    table = "views_runs.usage"
    counts = {"input only": {"input_tokens": 3}, "total only": {"total_tokens": 3}, "none": {}}
    tables = [
        one(
            invocation_id=query, request_id=query, endpoint_name="no price", status_code=200, **known,
            client_metadata={"application_id": "app", "query_execution_id": query, "outcome": "answered"},
        )
        for query, known in counts.items()
    ]  # fmt: skip
    make(spark, table, [pa.concat_tables(tables)])
    view = create_run_view(spark, table)
    found = {row["query_execution_id"]: row["cost_usd"] for row in rows_of(spark, view)}
    assert found == {"input only": None, "total only": None, "none": 0}


def test_a_missing_table_or_column_or_a_wrong_name_is_said(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"no usage table views_none\.usage"):
        gb.create_views(spark, "views_none.usage", "views_none")
    spark.sql("CREATE SCHEMA views_other")
    spark.sql("CREATE VIEW views_other.usage AS SELECT 'a' AS request_id, current_timestamp() AS event_time")
    with pytest.raises(ConfigError, match=r"lacks columns of a usage table: invocation_id, .*session_metadata"):
        gb.create_views(spark, "views_other.usage", "views_other")
    with pytest.raises(ConfigError, match="is not a name such as"):
        gb.create_views(spark, "views_other.usage", "a;b")


def test_views_of_others_are_left_alone(spark: SparkSession, usage: Usage) -> None:
    spark.sql("CREATE SCHEMA views_taken")
    spark.sql("CREATE VIEW views_taken.cost_daily AS SELECT 1 AS mine")
    with pytest.raises(ConfigError, match=r"views_taken\.cost_daily: there is a table or view of that name already"):
        gb.create_views(spark, usage.table, "views_taken")
    assert spark.table("views_taken.cost_daily").columns == ["mine"]
    assert not spark.catalog.tableExists("views_taken.overview_daily")


BILLED = """
  SELECT DATE'2026-08-03' AS usage_date, '1653573648247579' AS workspace_id, 'AWS' AS cloud, 'PREMIUM_X' AS sku_name,
    unit AS usage_unit, product AS billing_origin_product, CAST(quantity AS DECIMAL(38, 18)) AS usage_quantity,
    TIMESTAMP'2026-08-03 10:00:00Z' AS usage_start_time, TIMESTAMP'2026-08-03 11:00:00Z' AS usage_end_time,
    named_struct('ai_gateway', named_struct('endpoint_name', endpoint)) AS usage_metadata,
    named_struct('run_as', who) AS identity_metadata
  FROM VALUES
    ('MODEL_SERVING', 'chat', 'DBU', 'ana', 3.000000000000000001), ('MODEL_SERVING', 'chat', 'DBU', 'ana', -1),
    ('MODEL_SERVING', 'chat', 'DBU', 'bo', 0.123456789), ('MODEL_SERVING', 'idle', 'DBU', 'bo', 1),
    ('MODEL_SERVING', NULL, 'DBU', 'bo', 100), ('MODEL_SERVING', 'chat', 'GB', 'bo', 7),
    ('AI_FUNCTIONS', NULL, 'DBU', 'ana', 10), ('AI_FUNCTIONS', 'chat', 'DBU', 'ana', 20),
    ('JOBS', NULL, 'DBU', 'ana', 5)
    AS rows (product, endpoint, unit, who, quantity)
"""
LISTED = """
  SELECT 'AWS' AS cloud, 'PREMIUM_X' AS sku_name, 'DBU' AS usage_unit, TIMESTAMP(begin) AS price_start_time,
    TIMESTAMP(until) AS price_end_time, named_struct('default', CAST(usd AS DECIMAL(38, 18))) AS pricing
  FROM VALUES ('2025-01-01', '2026-01-01', 9), ('2026-01-01', NULL, 0.07) AS rows (begin, until, usd)
"""


def test_databricks_own_billing_is_shared_out_by_tokens(spark: SparkSession) -> None:
    schema = "views_billing"
    calls = [("chat", "ana", 30), ("chat", "bo", 60), ("chat", "ana", 10), ("chat", "cy", None), ("other", "ana", 5)]
    tables = [one(endpoint_name=name, requester=who, total_tokens=tokens) for name, who, tokens in calls]
    of_functions = {"invocation_metadata": {"source": "AI_FUNCTIONS"}}
    tables.append(one(endpoint_name="chat", requester="ana", total_tokens=1000, **of_functions))
    make(spark, f"{schema}.usage", [pa.concat_tables(tables)])
    create_first_view(spark, f"{schema}.usage", schema)
    spark.sql(f"CREATE VIEW {schema}.billed AS {BILLED}")
    spark.sql(f"CREATE VIEW {schema}.listed AS {LISTED}")
    for view in read_views("views/databricks"):
        statement = view.statement(f"{schema}.usage", schema)
        statement = statement.replace("system.billing.usage AS", f"{schema}.billed AS")
        spark.sql(statement.replace("system.billing.list_prices AS", f"{schema}.listed AS"))

    rows = rows_of(spark, f"{schema}.billing_daily")
    by_time = {row["endpoint_name"]: row["dbus"] for row in rows if row["product"] == "AI_FUNCTIONS"}
    assert by_time == {None: 10, "chat": 20}
    billed = {(row["endpoint_name"], row["run_as"]): row for row in rows if row["product"] == "MODEL_SERVING"}
    assert {key: row["dbus"] for key, row in billed.items()} == {
        ("chat", "ana"): Decimal("2.000000000000000001"),
        ("chat", "bo"): Decimal("0.123456789"),
        ("idle", "bo"): 1,
    }
    assert billed["chat", "bo"]["list_usd"] == Decimal("0.00864197523")
    shares = rows_of(spark, f"{schema}.billing_requesters_daily")
    assert {(row["endpoint_name"], row["requester"]): (row["total_tokens"], row["list_usd"]) for row in shares} == {
        ("chat", "ana"): (40, Decimal("0.059456790000")),
        ("chat", "bo"): (60, Decimal("0.089185185000")),
        ("idle", None): (None, Decimal("0.07")),
    }
