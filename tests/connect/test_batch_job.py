"""The batch job and its estimate on Spark Connect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.connect.conftest import MODEL, make_config


@pytest.fixture
def schema(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    name = f"b_{abs(hash(str(tmp_path))):x}"
    spark.sql(f"CREATE SCHEMA {name}")
    yield name
    spark.sql(f"DROP SCHEMA {name} CASCADE")


def test_each_row_is_answered_once_and_the_estimate_holds(
    spark: SparkSession, server: RunningGateway, echo_server: str, schema: str, tmp_path: Path
) -> None:
    lakes = spark.range(30).selectExpr("id", "'Lake ' || id || ' is deep.' AS body")
    lakes.write.format("delta").saveAsTable(f"{schema}.lakes")
    own = {"spool_dir": str(tmp_path / "spool"), "usage_table": f"{schema}.usage"}
    config = make_config(server, echo_server, **own)
    job = gb.BatchJob(f"{schema}.lakes", f"{schema}.answers", ["id"], MODEL, "Summarize: {body}")
    estimate = gb.estimate_batch(spark, job, config)
    assert (estimate.rows, estimate.requests, server.stats()["requests"]) == (30, 30, 0)
    report = gb.run_batch(spark, job, config, chunk_rows=12)
    assert (report.status, report.rows, report.left) == ("completed", 30, 0)
    answers = spark.table(job.output).where("result IS NOT NULL AND event_id IS NOT NULL AND input_tokens > 0")
    assert answers.count() == server.stats()["requests"] == 30
    assert estimate.input_tokens.middle == report.input_tokens
    assert gb.run_batch(spark, job, config).planned == 0
    changed = replace(job, source=lakes.selectExpr("id", "IF(id < 5, 'Sea', body) AS body"))
    assert gb.run_batch(spark, changed, config).rows == 5
    assert server.stats()["requests"] == 30 + 1, "the five ask the same"
    kept = spark.table(f"{schema}.ai_batch_runs").orderBy("started_at").collect()
    assert [(row.status, row.rows) for row in kept] == [("completed", 30), ("completed", 0), ("completed", 5)]
