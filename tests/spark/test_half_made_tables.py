"""A table whose maker was killed before its first commit is made whole by whoever needs it next."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chispa.schema_comparer import assert_schema_equality
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.errors import LedgerError
from gateway_batch.jobs.run import BatchJob, run_batch
from gateway_batch.spark.analytics.prices import create_prices
from gateway_batch.spark.analytics.sql_files import read_sql
from gateway_batch.spark.delta_tables import creation
from gateway_batch.spark.delta_tables.creation import make_table
from gateway_batch.spark.ledger.usage_table import create_usage_table, record_type
from tests.spark.conftest import MODEL, Register

SCHEMA = "half_made"
OF_THE_LEDGER = ("usage", "ai_query_tasks", "ai_batch_runs")
OF_THE_AGGREGATE = ("usage_daily", "usage_daily_distributions", "usage_daily_sessions", "usage_refreshes")

Leave = Callable[[str], Path]


@pytest.fixture
def leave(spark: SparkSession) -> Leave:
    """Leaves what a kill of its maker leaves of a table, and returns the table's folder."""
    warehouse = Path((spark.conf.get("spark.sql.warehouse.dir") or "").removeprefix("file:"))

    def left(table: str) -> Path:
        schema, _, name = table.partition(".")
        log = warehouse / f"{schema}.db" / name / "_delta_log"
        log.mkdir(parents=True)
        (log / ".00000000000000000000.json.7a1f.tmp").write_text('{"commitInfo":{"oper')
        return log.parent

    return left


def test_every_table_that_the_package_makes_is_made_whole(
    spark: SparkSession, register: Register, leave: Leave
) -> None:
    filled, empty = (*OF_THE_LEDGER, "answers"), (*OF_THE_AGGREGATE, "prices")
    for name in (*filled, *empty, "answers_pending"):
        leave(f"{SCHEMA}.{name}")
    gateway = register(usage_table=f"{SCHEMA}.usage")
    rows = spark.createDataFrame([(1, "a lake"), (2, "a sea")], "id INT, body STRING")

    report = run_batch(spark, BatchJob(rows, f"{SCHEMA}.answers", ["id"], MODEL, "Summarize: {body}"), gateway.config)
    gateway.usage.flush()
    for name in OF_THE_AGGREGATE:
        make_table(spark, f"{SCHEMA}.{name}", read_sql("tables", name).format(schema=SCHEMA))
    create_prices(spark, SCHEMA)

    assert (report.status, report.rows, report.failed_rows) == ("completed", 2, 0)
    assert spark.table(f"{SCHEMA}.usage").count() == 2
    assert {name: spark.table(f"{SCHEMA}.{name}").isEmpty() for name in (*filled, *empty)} == {
        **dict.fromkeys(filled, False),
        **dict.fromkeys(empty, True),
    }
    for name in (*filled, *empty):
        assert all(field.metadata.get("comment") for field in spark.table(f"{SCHEMA}.{name}").schema), name
        table = spark.catalog.getTable(f"{SCHEMA}.{name}")
        assert table.description, name
        assert table.tableType == "MANAGED", name
    usage = spark.table(f"{SCHEMA}.usage").schema
    assert_schema_equality(usage, record_type(spark), ignore_nullable=True, ignore_metadata=True)


def test_several_make_one_whole_at_once(spark: SparkSession, leave: Leave) -> None:
    leave("half_made_at_once.usage")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: create_usage_table(spark, "half_made_at_once.usage"), range(3)))
    assert spark.table("half_made_at_once.usage").count() == 0


@pytest.mark.parametrize("has_log", [True, False], ids=["with a log", "alone"])
def test_files_of_someone_elses_are_left_alone(
    spark: SparkSession, register: Register, leave: Leave, monkeypatch: pytest.MonkeyPatch, has_log: bool
) -> None:
    monkeypatch.setattr(creation, "_PAUSES_S", (0.01, 0.01))
    table = f"of_someone_else_{has_log}.usage".lower()
    folder = leave(table)
    (folder / "part-0.parquet").write_text("of someone else's")
    if not has_log:
        (folder / "_delta_log" / ".00000000000000000000.json.7a1f.tmp").unlink()
        (folder / "_delta_log").rmdir()
    before = sorted(folder.rglob("*"))
    gateway: gb.Gateway = register(usage_table=table)
    spark.sql(f"SELECT ai_query('{MODEL}', 'a lake')").collect()

    with pytest.raises(LedgerError, match=f"{table} can't be written"):
        gateway.usage.flush()

    assert sorted(folder.rglob("*")) == before
