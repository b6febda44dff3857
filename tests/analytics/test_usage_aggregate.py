"""The aggregate of usage tables: the views' figures from it, and what a refresh finds to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.read import read_cube
from gateway_batch.errors import ConfigError
from gateway_batch.spark.analytics import usage_refresh
from gateway_batch.spark.analytics.usage_refresh import Refreshed, refresh_usage
from gateway_batch.spark.analytics.view_files import View, read_views
from gateway_batch.spark.analytics.views import complete_before
from gateway_batch.usage.arrow import SCHEMA
from tests.analytics.usage_views import (
    BASE,
    FIRST,
    OWN_PRICES,
    Usage,
    add_prices,
    assert_same,
    kept_in_memory,
    make,
    one,
    only_views,
    rows_of,
)

pytestmark = pytest.mark.timeout(1800)

MORNING = timedelta(hours=3)
"""So long after its end a day is complete."""
BEFORE = FIRST + timedelta(days=30)
"""Half of the days are in the aggregate, with all odd rows but the latest and those without a time."""
SCHEMA_OF_DAYS = "aggregate_days"


def after(day: date) -> datetime:
    """The first time at which a day is complete."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) + MORNING


def refresh(spark: SparkSession, schema: str, now: datetime) -> Refreshed:
    return refresh_usage(spark, f"{schema}.usage", schema, now=now)


@pytest.fixture(scope="module")
def aggregated(spark: SparkSession, usage: Usage) -> Iterator[str]:
    """A schema with views that have half of the days from an aggregate."""
    with only_views(*BASE):
        refreshed = refresh_usage(spark, usage.table, SCHEMA_OF_DAYS, now=after(BEFORE - timedelta(days=1)))
    assert refreshed.complete_before == BEFORE
    add_prices(spark, SCHEMA_OF_DAYS, OWN_PRICES)
    with kept_in_memory(spark, SCHEMA_OF_DAYS):
        yield SCHEMA_OF_DAYS


OF_EACH_KIND = {
    "overview_daily", "overview_users_daily", "performance_endpoints_daily", "usage_tags_daily", "cost_tags_daily",
    "coding_agents_users", "coding_agents_sessions", "smart_routing_daily",
}  # fmt: skip
"""By sums, users, percentiles, tags, costs, days and sessions; the others are made of the same base views by the same
macros."""


WITHOUT_BASE = [
    pytest.param(view, marks=[] if view.name in OF_EACH_KIND else [pytest.mark.nightly], id=view.name)
    for view in read_views()
    if view.name not in BASE
]


@pytest.mark.parametrize("view", WITHOUT_BASE)
def test_views_have_the_same_figures_where_days_come_from_it(usage: Usage, aggregated: str, view: View) -> None:
    """`test_views` plans each view down to the table's rows."""
    usage.spark.sql(view.statement(usage.table, aggregated, BEFORE))
    found = rows_of(usage.spark, f"{aggregated}.{view.name}")
    assert_same(view.name, found, usage.wanted(view.name), nearly_before=BEFORE)


def test_the_views_read_no_rows_of_its_days(usage: Usage, aggregated: str) -> None:
    """What is added to the table on such a day is seen with the next refresh only."""
    with_time = len(usage.rows) - usage.rows["event_time"].null_count
    for view, condition in (("usage_cells", "day IS NOT NULL"), ("usage_distributions", "hour_of_day IS NOT NULL")):
        query = f"""
            SELECT day < DATE'{BEFORE}' AS early, count(*) AS rows, sum(invocations) AS invocations
            FROM {aggregated}.{view} WHERE {condition} GROUP BY 1"""
        found = {row.early: row for row in usage.spark.sql(query).collect()}
        assert found[True].rows < found[True].invocations
        assert found[False].rows == found[False].invocations
        assert found[True].invocations + found[False].invocations == with_time


def test_the_page_s_cube_is_the_same_from_rows_and_from_days(usage: Usage, aggregated: str, cube: UsageCube) -> None:
    """In the cells' order, which hashes give; the schemas differ in whether they have an aggregate."""
    mixed = read_cube(usage.spark, usage.table, aggregated)
    assert mixed.first_day < BEFORE <= mixed.last_day
    assert (mixed.first_day, mixed.last_day) == (cube.first_day, cube.last_day)
    assert sorted(map(repr, mixed.cells.drop_columns(["cell"]).to_pylist())) == sorted(
        map(repr, cube.cells.drop_columns(["cell"]).to_pylist())
    )
    assert mixed.groups.num_rows == cube.groups.num_rows
    assert mixed.sessions == cube.sessions
    days = usage.rows["event_time"].cast(pa.date32())
    shown = pc.and_(pc.greater_equal(days, mixed.first_day), pc.less_equal(days, mixed.last_day))
    assert sum(mixed.cells["invocations"].to_pylist()) == pc.sum(shown).as_py()


def test_an_aggregate_is_of_one_usage_table(usage: Usage, aggregated: str) -> None:
    other = f"{aggregated}.other"
    usage.spark.sql(f"CREATE VIEW {other} AS SELECT * FROM {usage.table}")
    with pytest.raises(ConfigError, match=f"{aggregated} has the aggregate of {usage.table}"):
        gb.create_views(usage.spark, other, aggregated)
    with pytest.raises(ConfigError, match=f"{aggregated} has the aggregate of {usage.table}"):
        refresh_usage(usage.spark, other, aggregated, now=after(BEFORE))
    assert complete_before(usage.spark, usage.table, aggregated) == BEFORE


def rows_on(day: date, *names: str) -> pa.Table:
    """A request of a coding agent each, in the middle of a day."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.concat_tables(
        one(
            invocation_id=f"{day} {name}", request_id=name, event_time=noon, status_code=200, latency_ms=7,
            user_agent="codex",
        )
        for name in names
    )  # fmt: skip


def append(spark: SparkSession, table: str, *rows: pa.Table) -> None:
    spark.createDataFrame(pa.concat_tables(rows)).writeTo(table).append()


@contextmanager
def dies_before_it_computes() -> Iterator[list[date]]:
    """The days that the refresh within would compute."""
    found: list[date] = []

    def die(spark: SparkSession, schema: str, days: Iterable[date]) -> None:
        found.extend(sorted(days))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage_refresh, "_compute", die)
        with suppress(KeyboardInterrupt):
            yield found
            pytest.fail("it computed none")


def by_day(spark: SparkSession, schema: str) -> dict[date, int]:
    """Requests, of which each has one row here, the same by sessions."""
    found, of_sessions = (
        {
            row.day: row.requests
            for row in spark.sql(f"SELECT day, sum(requests) AS requests FROM {schema}.{view} GROUP BY day").collect()
        }
        for view in ("usage_cells", "usage_session_parts")
    )
    assert found == of_sessions
    return found


def test_a_refresh_computes_the_days_that_changed(spark: SparkSession) -> None:
    schema, table = "aggregate_grows", "aggregate_grows.usage"
    days = [FIRST + timedelta(days=number) for number in range(20)]
    make(spark, table, [rows_on(days[0], "a", "b"), rows_on(days[1], "c"), rows_on(days[15], "d")])
    with only_views("usage_invocations", "usage_cells", "usage_session_parts"):
        start = refresh(spark, schema, after(days[15]))
        assert start == Refreshed((days[0], days[1], days[15]), 4, days[16])

        append(spark, table, rows_on(days[16], "e"))
        assert refresh(spark, schema, after(days[15]) + timedelta(hours=20)) == Refreshed((), 0, days[16])
        assert by_day(spark, schema)[days[16]] == 1, "a day that is not in it yet is read from the rows"

        append(spark, table, rows_on(days[1], "very late"), rows_on(days[15], "late"))
        assert by_day(spark, schema)[days[15]] == 1
        assert refresh(spark, schema, after(days[16])) == Refreshed((days[1], days[15], days[16]), 5, days[17])
        assert by_day(spark, schema) == {days[0]: 2, days[1]: 2, days[15]: 2, days[16]: 1}

        # As if it had died: both tables are written before the views are made.
        spark.sql(f"DELETE FROM {schema}.usage_refreshes WHERE complete_before > DATE'{days[16]}'")
        gb.create_views(spark, table, schema)
        assert by_day(spark, schema) == {days[0]: 2, days[1]: 2, days[15]: 2, days[16]: 1}, "no day counts twice"

        spark.sql(f"DELETE FROM {table} WHERE request_id IN ('a', 'b')")
        spark.sql(f"DELETE FROM {schema}.usage_daily_distributions WHERE day = DATE'{days[15]}'")
        spark.sql(f"DELETE FROM {schema}.usage_daily_sessions WHERE day = DATE'{days[16]}'")
        assert refresh(spark, schema, after(days[16])) == Refreshed((days[0], days[15], days[16]), 3, days[17])
        assert by_day(spark, schema) == {days[1]: 2, days[15]: 2, days[16]: 1}
        by_rows = {days[1]: 2, days[15]: 2, days[16]: 1}
        with dies_before_it_computes() as found:
            refresh_usage(spark, table, schema, everything=True, now=after(days[16]))
        assert found == list(by_rows)

        as_it_was = spark.sql(f"DESCRIBE HISTORY {schema}.usage_daily").agg({"version": "max"}).collect()[0][0]
        of_earlier_version = f"""
            CREATE OR REPLACE TABLE {schema}.usage_daily USING DELTA AS
            SELECT * EXCEPT (agent_framework, smart_router) FROM {schema}.usage_daily WHERE day <> DATE'{days[16]}'"""
        spark.sql(of_earlier_version)
        gb.create_views(spark, table, schema)
        assert by_day(spark, schema) == by_rows, "one of an earlier version is not read"
        spark.sql(f"RESTORE TABLE {schema}.usage_daily TO VERSION AS OF {as_it_was}")

        spark.sql(f"DROP TABLE {schema}.usage_daily_sessions")
        gb.create_views(spark, table, schema)
        assert by_day(spark, schema) == by_rows, "one of an earlier version, without sessions"
        with dies_before_it_computes() as found:
            refresh(spark, schema, after(days[16]))
        assert found == list(by_rows)
        gb.create_views(spark, table, schema)
        assert by_day(spark, schema) == by_rows, "and after a refresh that died when it had made the table"
        spark.sql(of_earlier_version)
        assert refresh(spark, schema, after(days[16])) == Refreshed((days[1], days[15], days[16]), 5, days[17])
        assert by_day(spark, schema) == by_rows
        assert spark.table(f"{schema}.usage_daily").where("smart_router IS NULL").count() > 0


@pytest.fixture(scope="module")
def without_rows(spark: SparkSession) -> Iterator[str]:
    """A schema with views of a usage table that has no rows."""
    schema, table = "aggregate_empty", "aggregate_empty.usage"
    make(spark, table, [SCHEMA.empty_table()])
    with only_views(*BASE):
        gb.create_views(spark, table, schema)
    with kept_in_memory(spark, schema):
        yield schema


def test_a_table_without_rows_has_base_views_without_rows(spark: SparkSession, without_rows: str) -> None:
    assert [view for view in BASE if not spark.table(f"{without_rows}.{view}").isEmpty()] == []


@pytest.mark.parametrize("view", WITHOUT_BASE)
def test_a_table_without_rows_has_views_without_rows(spark: SparkSession, without_rows: str, view: View) -> None:
    spark.sql(view.statement(f"{without_rows}.usage", without_rows))
    assert spark.table(f"{without_rows}.{view.name}").isEmpty()


def test_a_table_without_rows_has_an_aggregate_without_days(spark: SparkSession, without_rows: str) -> None:
    with only_views("usage_invocations", "usage_cells", "usage_session_parts"):
        assert refresh(spark, without_rows, after(FIRST)) == Refreshed((), 0, FIRST + timedelta(days=1))
    assert by_day(spark, without_rows) == {}
