"""Every figure of every view, against `view_figures`; and tables that are not as they should be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

import gateway_batch as gb
from gateway_batch.cli.views import app
from gateway_batch.errors import ConfigError
from gateway_batch.spark.prices import fill_prices
from gateway_batch.spark.view_files import read_views
from gateway_batch.spark.views import READ_COLUMNS
from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.analytics.usage_views import (
    ODD,
    OWN_PRICES,
    VIEWS,
    Data,
    add_prices,
    assert_same,
    make,
    one,
    price,
    records,
    rows_of,
)
from tests.analytics.view_figures import figures_of
from tests.usage_days import usage_days

ROWS = int(os.environ.get("USAGE_VIEWS_ROWS", "20000"))
DAYS = 10


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Generated days, in a table with exactly the columns of Databricks' own."""
    folder = tmp_path_factory.mktemp("days") / "usage"
    tables = list(usage_days(ROWS, DAYS, client_metadata=False))
    table = make(spark, "views_real", folder, tables)
    assert tuple(spark.table(table).columns) == MIRRORED_COLUMNS
    gb.create_views(spark, table, "views_real")
    add_prices(spark, "views_real", OWN_PRICES)
    prices = rows_of(spark, "views_real.prices")
    return Data("views_real", table, figures_of(records(pa.concat_tables(tables)), prices))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("view", VIEWS)
def test_every_figure_is_as_worked_out_apart(spark: SparkSession, data: Data, view: str) -> None:
    assert_same(view, rows_of(spark, f"{data.schema}.{view}"), data.figures[view]())


def test_our_own_column_changes_no_row_that_the_other_views_are_made_of(spark: SparkSession, tmp_path: Path) -> None:
    rows = {}
    for schema, ours in (("views_with", True), ("views_without", False)):
        table = make(spark, schema, tmp_path / schema, usage_days(2000, 3, client_metadata=ours))
        assert ("client_metadata" in spark.table(table).columns) is ours
        spark.sql(read_views()[0].statement(table, schema))
        rows[ours] = sorted(rows_of(spark, f"{schema}.usage_invocations"), key=lambda row: row["invocation_id"])
    assert rows[True] == rows[False]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("odd", [[], list(ODD)], ids=["no_rows", "odd_rows"])
def test_odd_tables_have_sensible_figures(spark: SparkSession, tmp_path: Path, odd: list[str]) -> None:
    rows = pa.concat_tables([SCHEMA.empty_table(), *(table for name in odd for table in ODD[name])])
    ids = pa.array([str(number) for number in range(len(rows))], pa.string())
    rows = rows.set_column(rows.schema.get_field_index("invocation_id"), SCHEMA.field("invocation_id"), ids)
    schema = "views_odd" if odd else "views_empty"
    gb.create_views(spark, make(spark, schema, tmp_path / "usage", [rows]), schema)
    figures = figures_of(records(rows), rows_of(spark, f"{schema}.prices"))
    for view in VIEWS:
        assert_same(view, rows_of(spark, f"{schema}.{view}"), figures[view]())


@pytest.fixture
def far_from_utc(spark: SparkSession) -> Iterator[None]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kathmandu")
    yield
    spark.conf.set("spark.sql.session.timeZone", before or "UTC")


@pytest.mark.usefixtures("far_from_utc")
def test_days_and_hours_are_utc_whatever_the_session_s_time_zone(spark: SparkSession, tmp_path: Path) -> None:
    tables = list(usage_days(500, 3))
    gb.create_views(spark, make(spark, "views_tz", tmp_path / "usage", tables), "views_tz")
    figures = figures_of(records(pa.concat_tables(tables)), [])
    for view in ("usage_invocations", "overview_daily", "overview_hourly", "overview_users_daily"):
        assert_same(view, rows_of(spark, f"views_tz.{view}"), figures[view]())


def test_columns_are_described_where_people_find_them(spark: SparkSession, data: Data) -> None:
    for view in read_views():
        name = f"{data.schema}.{view.name}"
        comments = [(field.name, field.metadata.get("comment")) for field in spark.table(name).schema]
        assert comments == list(view.columns)
        assert spark.catalog.getTable(name).description == f"{view.comment} By gateway_batch."


def test_money_is_decimal(spark: SparkSession, data: Data) -> None:
    for view in VIEWS:
        for name, kind in spark.table(f"{data.schema}.{view}").dtypes:
            assert not name.endswith("cost_usd") or kind.startswith("decimal"), (view, name)


def test_list_prices_are_added_once_and_again_only_when_they_change(spark: SparkSession, tmp_path: Path) -> None:
    tables = [
        one(invocation_id=name, request_id=name, destination_model=name, input_tokens=10, output_tokens=1)
        for name in ("gpt-5.4", "Claude Sonnet 4", "my-own", "o4-mini")
    ]
    gb.create_views(spark, make(spark, "views_prices", tmp_path / "usage", tables), "views_prices")
    first = {row["model"]: row for row in rows_of(spark, "views_prices.prices")}
    assert set(first) == {"gpt-5-4", "claude-sonnet-4", "o4-mini"}
    assert {row["valid_from"] for row in first.values()} == {datetime(1970, 1, 1, tzinfo=UTC)}
    assert {row["source"] for row in first.values()} == {"genai-prices"}
    assert fill_prices(spark, "views_prices") == 0

    spark.sql("UPDATE views_prices.prices SET output_usd_per_million = 1 WHERE model IN ('gpt-5-4', 'o4-mini')")
    add_prices(spark, "views_prices", [price("o4-mini", "1", "1")])
    assert fill_prices(spark, "views_prices") == 1
    prices = [row for row in rows_of(spark, "views_prices.prices") if row["model"] == "gpt-5-4"]
    assert [row["output_usd_per_million"] for row in sorted(prices, key=lambda row: row["valid_from"])] == [
        1,
        first["gpt-5-4"]["output_usd_per_million"],
    ]
    costs = {row["model"]: row["cost_usd"] for row in rows_of(spark, "views_prices.usage_costs")}
    assert costs["my-own"] is None
    assert costs["o4-mini"] == Decimal("0.000011")  # its own price began after the listed one


def test_the_command_makes_them_in_the_session_that_is_active(spark: SparkSession, tmp_path: Path) -> None:
    table = make(spark, "views_command", tmp_path / "usage", usage_days(10, 1))
    command = ["deploy", "--usage-table", table, "--schema", "views_command", "--json"]
    ran = CliRunner().invoke(app, command)
    assert ran.exit_code == 0
    assert json.loads(ran.stdout) == {"views": [f"views_command.{view}" for view in VIEWS], "kept": False}
    assert spark.table("views_command.overview_daily").first().invocations == 10  # type: ignore[union-attr]


def test_a_missing_table_or_column_is_said(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"no usage table views_none\.usage"):
        gb.create_views(spark, "views_none.usage", "views_none")
    spark.sql("CREATE SCHEMA IF NOT EXISTS views_other")
    spark.sql("CREATE TABLE views_other.usage (request_id STRING, event_time TIMESTAMP) USING DELTA")
    with pytest.raises(ConfigError, match=r"lacks columns of a usage table: invocation_id, .*session_metadata"):
        gb.create_views(spark, "views_other.usage", "views_other")


@pytest.mark.parametrize("names", [("a.b.c.d", "s"), ("x`y", "s"), ("", "s"), ("t", "a.b.c"), ("t", "a;b")])
def test_what_is_no_name_is_refused(spark: SparkSession, names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="is not a name such as"):
        gb.create_views(spark, *names)


def test_views_of_others_are_left_alone(spark: SparkSession, tmp_path: Path) -> None:
    table = make(spark, "views_taken", tmp_path / "usage", usage_days(10, 1))
    spark.sql("CREATE VIEW views_taken.cost_daily AS SELECT 1 AS mine")
    with pytest.raises(ConfigError, match=r"views_taken\.cost_daily: there is a table or view of that name already"):
        gb.create_views(spark, table, "views_taken")
    assert spark.table("views_taken.cost_daily").columns == ["mine"]
    assert not spark.catalog.tableExists("views_taken.overview_daily")


def test_only_columns_of_the_mirror_are_read() -> None:
    assert set(READ_COLUMNS) <= set(MIRRORED_COLUMNS)


BILLED = """
  SELECT DATE'2026-08-03' AS usage_date, '1653573648247579' AS workspace_id, 'AWS' AS cloud, 'PREMIUM_X' AS sku_name,
    unit AS usage_unit, 'MODEL_SERVING' AS billing_origin_product, CAST(quantity AS DECIMAL(38, 18)) AS usage_quantity,
    TIMESTAMP'2026-08-03 10:00:00Z' AS usage_start_time, TIMESTAMP'2026-08-03 11:00:00Z' AS usage_end_time,
    named_struct('ai_gateway', named_struct('endpoint_name', endpoint)) AS usage_metadata,
    named_struct('run_as', who) AS identity_metadata
  FROM VALUES ('chat', 'DBU', 'ana', 3.000000000000000001), ('chat', 'DBU', 'ana', -1),
    ('chat', 'DBU', 'bo', 0.123456789), ('idle', 'DBU', 'bo', 1), (NULL, 'DBU', 'bo', 100), ('chat', 'GB', 'bo', 7)
    AS rows (endpoint, unit, who, quantity)
"""
LISTED = """
  SELECT 'AWS' AS cloud, 'PREMIUM_X' AS sku_name, 'DBU' AS usage_unit, TIMESTAMP(begin) AS price_start_time,
    TIMESTAMP(until) AS price_end_time, named_struct('default', CAST(usd AS DECIMAL(38, 18))) AS pricing
  FROM VALUES ('2025-01-01', '2026-01-01', 9), ('2026-01-01', NULL, 0.07) AS rows (begin, until, usd)
"""


def test_databricks_own_billing_is_shared_out_by_tokens(spark: SparkSession, tmp_path: Path) -> None:
    schema = "views_billing"
    calls = [("chat", "ana", 30), ("chat", "bo", 60), ("chat", "ana", 10), ("chat", "cy", None), ("other", "ana", 5)]
    tables = [one(endpoint_name=name, requester=who, total_tokens=tokens) for name, who, tokens in calls]
    gb.create_views(spark, make(spark, schema, tmp_path / "usage", tables), schema)
    spark.sql(f"CREATE VIEW {schema}.billed AS {BILLED}")
    spark.sql(f"CREATE VIEW {schema}.listed AS {LISTED}")
    for view in read_views("views/databricks"):
        statement = view.statement(f"{schema}.usage", schema)
        statement = statement.replace("system.billing.usage AS", f"{schema}.billed AS")
        spark.sql(statement.replace("system.billing.list_prices AS", f"{schema}.listed AS"))

    billed = {(row["endpoint_name"], row["run_as"]): row for row in rows_of(spark, f"{schema}.billing_daily")}
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
