"""The aggregate of usage tables: the views' figures from it, and what a refresh finds to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.dashboard.read import read_cube
from gateway_batch.errors import ConfigError
from gateway_batch.spark.usage_refresh import Refreshed, refresh_usage
from gateway_batch.spark.views import complete_before
from gateway_batch.usage.arrow import SCHEMA
from tests.analytics.usage_views import (
    ODD,
    OF_ROWS,
    OWN_PRICES,
    VIEWS,
    Data,
    add_prices,
    assert_same,
    make,
    one,
    records,
    rows_of,
)
from tests.analytics.view_figures import figures_of
from tests.usage_days import usage_days

FIRST = date(2026, 8, 3)
DAYS = 4
MORNING = timedelta(hours=3)
"""So long after its end a day is complete."""
WITHOUT_AGGREGATE = {*OF_ROWS, "usage_invocations"}


def after(day: date) -> datetime:
    """The first time at which a day is complete."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) + MORNING


def refresh(spark: SparkSession, schema: str, now: datetime) -> Refreshed:
    return refresh_usage(spark, f"{schema}.usage", schema, now=now)


@dataclass(frozen=True)
class Aggregated(Data):
    before: date


@pytest.fixture(scope="module")
def data(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Aggregated:
    """Four days, of which the aggregate has two."""
    schema = "aggregate_days"
    tables = list(usage_days(6000, DAYS, client_metadata=False))
    table = make(spark, schema, tmp_path_factory.mktemp("days") / "usage", tables)
    gb.create_views(spark, table, schema)
    add_prices(spark, schema, OWN_PRICES)
    refreshed = refresh(spark, schema, after(FIRST + timedelta(days=1)))
    figures = figures_of(records(pa.concat_tables(tables)), rows_of(spark, f"{schema}.prices"))
    return Aggregated(schema, table, figures, refreshed.complete_before)


@pytest.mark.parametrize("view", [view for view in VIEWS if view not in WITHOUT_AGGREGATE])
def test_views_have_the_same_figures_where_days_come_from_it(spark: SparkSession, data: Aggregated, view: str) -> None:
    assert_same(view, rows_of(spark, f"{data.schema}.{view}"), data.figures[view](), nearly_before=data.before)


def test_the_views_read_no_rows_of_its_days(spark: SparkSession, data: Aggregated) -> None:
    """What is added to the table on such a day is seen with the next refresh only."""
    for view, condition in (("usage_cells", "true"), ("usage_distributions", "hour_of_day IS NOT NULL")):
        query = f"""
            SELECT day < DATE'{data.before}' AS early, count(*) AS rows, sum(invocations) AS invocations
            FROM {data.schema}.{view} WHERE {condition} GROUP BY 1"""
        found = {row.early: row for row in spark.sql(query).collect()}
        assert found[True].rows < found[True].invocations
        assert found[False].rows == found[False].invocations
        assert found[True].invocations + found[False].invocations == 6000


def test_the_page_s_cube_is_the_same_from_rows_and_from_days(spark: SparkSession, data: Aggregated) -> None:
    """In the cells' order, which hashes give; the schemas differ in whether they have an aggregate."""
    spark.sql("CREATE SCHEMA IF NOT EXISTS aggregate_none")
    spark.sql(f"CREATE VIEW aggregate_none.usage AS SELECT * FROM {data.table}")
    gb.create_views(spark, "aggregate_none.usage", "aggregate_none")
    spark.sql("DELETE FROM aggregate_none.prices")
    spark.sql(f"INSERT INTO aggregate_none.prices SELECT * FROM {data.schema}.prices")
    now = datetime(2026, 8, 7, tzinfo=UTC)
    mixed = read_cube(spark, data.table, data.schema, now=now)
    of_rows = read_cube(spark, "aggregate_none.usage", "aggregate_none", now=now)
    assert (mixed.first_day, mixed.last_day) == (of_rows.first_day, of_rows.last_day)
    assert sorted(map(repr, mixed.cells.drop_columns(["cell"]).to_pylist())) == sorted(
        map(repr, of_rows.cells.drop_columns(["cell"]).to_pylist())
    )
    assert mixed.groups.num_rows == of_rows.groups.num_rows
    assert sum(mixed.cells["invocations"].to_pylist()) == 6000


def rows_on(day: date, *names: str) -> list[pa.Table]:
    """A request each, in the middle of a day."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return [
        one(invocation_id=f"{day} {name}", request_id=name, event_time=noon, status_code=200, latency_ms=7)
        for name in names
    ]


def append(spark: SparkSession, table: str, rows: list[pa.Table]) -> None:
    spark.createDataFrame(pa.concat_tables(rows)).writeTo(table).append()


def by_day(spark: SparkSession, schema: str) -> dict[date, int]:
    return {row["day"]: row["requests"] for row in rows_of(spark, f"{schema}.overview_daily")}


@pytest.mark.timeout(300)
def test_a_refresh_computes_the_days_that_changed(spark: SparkSession, tmp_path: Path) -> None:
    schema, table = "aggregate_grows", "aggregate_grows.usage"
    days = [FIRST + timedelta(days=number) for number in range(20)]
    make(
        spark,
        schema,
        tmp_path / "usage",
        [*rows_on(days[0], "a", "b"), *rows_on(days[1], "c"), *rows_on(days[15], "d")],
    )
    start = refresh(spark, schema, after(days[15]))
    assert start == Refreshed((days[0], days[1], days[15]), 4, days[16])

    append(spark, table, rows_on(days[16], "e"))
    assert refresh(spark, schema, after(days[15]) + timedelta(hours=20)) == Refreshed((), 0, days[16])
    assert by_day(spark, schema)[days[16]] == 1, "a day that is not in it yet is read from the rows"

    append(spark, table, [*rows_on(days[1], "very late"), *rows_on(days[15], "late")])
    assert by_day(spark, schema)[days[15]] == 1
    assert refresh(spark, schema, after(days[16])) == Refreshed((days[1], days[15], days[16]), 5, days[17])
    assert by_day(spark, schema) == {days[0]: 2, days[1]: 2, days[15]: 2, days[16]: 1}

    spark.sql(f"DELETE FROM {table} WHERE request_id IN ('a', 'b')")
    spark.sql(f"DELETE FROM {schema}.usage_daily_distributions WHERE day = DATE'{days[15]}'")
    assert refresh(spark, schema, after(days[16])) == Refreshed((days[0], days[15]), 2, days[17])
    assert by_day(spark, schema) == {days[1]: 2, days[15]: 2, days[16]: 1}
    assert refresh_usage(spark, table, schema, everything=True, now=after(days[16])).invocations == 5


def test_a_refresh_that_died_half_way_is_made_good(spark: SparkSession, tmp_path: Path) -> None:
    """Both tables are written before the views are told."""
    schema = "aggregate_dies"
    make(spark, schema, tmp_path / "usage", rows_on(FIRST, "a", "b"))
    gb.create_views(spark, f"{schema}.usage", schema)
    refresh(spark, schema, after(FIRST) - timedelta(days=1))
    next_day = FIRST + timedelta(days=1)
    append(spark, f"{schema}.usage", rows_on(next_day, "c"))
    refresh(spark, schema, after(next_day))
    spark.sql(f"DELETE FROM {schema}.usage_refreshes WHERE complete_before > DATE'{FIRST}'")
    gb.create_views(spark, f"{schema}.usage", schema)
    assert by_day(spark, schema) == {FIRST: 2, next_day: 1}, "no day counts twice"
    done = refresh(spark, schema, after(next_day))
    assert done.complete_before == next_day + timedelta(days=1)
    assert by_day(spark, schema) == {FIRST: 2, next_day: 1}


def test_an_aggregate_is_of_one_usage_table(spark: SparkSession, tmp_path: Path) -> None:
    make(spark, "aggregate_one", tmp_path / "one", rows_on(FIRST, "a"))
    refresh(spark, "aggregate_one", after(FIRST))
    make(spark, "aggregate_other", tmp_path / "other", rows_on(FIRST, "b"))
    with pytest.raises(ConfigError, match="aggregate_one"):
        gb.create_views(spark, "aggregate_other.usage", "aggregate_one")
    with pytest.raises(ConfigError, match="aggregate_one"):
        refresh_usage(spark, "aggregate_other.usage", "aggregate_one", now=after(FIRST))
    assert complete_before(spark, "aggregate_one.usage", "aggregate_one") == FIRST + timedelta(days=1)


def test_a_table_without_rows_has_an_aggregate_without_days(spark: SparkSession, tmp_path: Path) -> None:
    make(spark, "aggregate_empty", tmp_path / "usage", [SCHEMA.empty_table()])
    assert refresh(spark, "aggregate_empty", after(FIRST)) == Refreshed((), 0, FIRST + timedelta(days=1))
    assert by_day(spark, "aggregate_empty") == {}


def test_odd_rows_come_from_it_as_they_are(spark: SparkSession, tmp_path: Path) -> None:
    rows = pa.concat_tables([table for tables in ODD.values() for table in tables])
    ids = pa.array([str(number) for number in range(len(rows))], pa.string())
    rows = rows.set_column(rows.schema.get_field_index("invocation_id"), SCHEMA.field("invocation_id"), ids)
    schema = "aggregate_odd"
    make(spark, schema, tmp_path / "usage", [rows])
    before = refresh(spark, schema, after(FIRST + timedelta(days=30))).complete_before
    figures = figures_of(records(rows), rows_of(spark, f"{schema}.prices"))
    for view in VIEWS:
        if view not in WITHOUT_AGGREGATE:
            assert_same(view, rows_of(spark, f"{schema}.{view}"), figures[view](), nearly_before=before)
