"""A source of texts, and jobs over it whose runs are recorded in one usage table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.jobs.run import BatchJob, run_batch
from tests.spark.conftest import MODEL, TOKEN

ROWS, SCHEMA = 24, "batch_jobs"
LAKES = f"{SCHEMA}.lakes"

Run = Callable[..., gb.BatchReport]


@pytest.fixture(scope="module", autouse=True)
def lakes(spark: SparkSession) -> Iterator[None]:
    """A schema with texts, three times eight, and the usage of all tests."""
    spark.sql(f"CREATE SCHEMA {SCHEMA}")
    texts = spark.range(0, ROWS, 1, 3).selectExpr("id", "'Lake ' || id || ' is deep.' AS body")
    texts.write.format("delta").saveAsTable(LAKES)
    yield
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture
def config(server: RunningGateway, spool_dir: Path) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(
        host=server.host, token=TOKEN, spool_dir=str(spool_dir), usage_table=f"{SCHEMA}.usage", max_attempts=1
    )


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    """A job with an output of the test's own."""
    output = f"{SCHEMA}.answers_{abs(hash(str(tmp_path))):x}"
    return BatchJob(source=LAKES, output=output, keys=["id"], endpoint=MODEL, prompt="Summarize: {body}")


@pytest.fixture
def run(spark: SparkSession, config: gb.GatewayConfig, job: BatchJob) -> Run:
    def once(**options: Any) -> gb.BatchReport:
        asked = options.pop("job", job)
        return run_batch(spark, asked, options.pop("config", config), **options)

    return once


def answers(spark: SparkSession, job: BatchJob) -> DataFrame:
    return spark.table(job.output)
