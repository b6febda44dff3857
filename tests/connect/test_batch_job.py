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
def output(spark: SparkSession) -> Iterator[str]:
    yield "batch_answers"
    spark.sql("DROP TABLE IF EXISTS batch_answers")


def test_each_row_is_answered_once_and_the_estimate_holds(
    spark: SparkSession, server: RunningGateway, echo_server: str, output: str, tmp_path: Path
) -> None:
    lakes = spark.range(12).selectExpr("id", "'Lake ' || id || ' is deep.' AS body")
    lakes.createOrReplaceTempView("batch_lakes")
    config = make_config(server, echo_server, spool_dir=str(tmp_path / "spool"), usage_table="shared.usage")
    job = gb.BatchJob("batch_lakes", output, ["id"], MODEL, "Summarize: {body}")
    estimate = gb.estimate_batch(spark, job, config)
    assert (estimate.rows, estimate.requests, server.stats()["requests"]) == (12, 12, 0)
    report = gb.run_batch(spark, job, config, chunk_rows=8)
    assert (report.status, report.rows, report.left) == ("completed", 12, 0)
    answers = spark.table(output).where("result IS NOT NULL AND event_id IS NOT NULL AND input_tokens > 0")
    assert answers.count() == server.stats()["requests"] == 12
    assert estimate.input_tokens.middle == report.input_tokens
    assert gb.estimate_batch(spark, job, config).rows == 0
    changed = replace(job, source=lakes.selectExpr("id", "IF(id < 5, 'Sea', body) AS body"))
    assert gb.run_batch(spark, changed, config).rows == 5
    assert server.stats()["requests"] == 12 + 1, "the five ask the same"
    runs = spark.table("shared.ai_batch_runs").where(f"output = '{output}'").orderBy("started_at").collect()
    assert [(row.status, row.rows) for row in runs] == [("completed", 12), ("completed", 5)]
