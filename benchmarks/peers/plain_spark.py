"""The Spark session of the packages that run in one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pyspark.sql import Column, DataFrame, SparkSession

from benchmarks.load import prompt_sql
from benchmarks.peers.child import Send

PARTITIONS = 2


def session(settings: dict[str, str] | None = None) -> SparkSession:
    """Two task slots, four tries of a task, Arrow batches of 1,000 rows: as ours."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{PARTITIONS},4]").appName("benchmarks")
    chosen = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
        **(settings or {}),
    }
    for name, value in chosen.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def rows_of(spark: SparkSession, first: int, end: int) -> DataFrame:
    """The prompts of these numbers, in two partitions."""
    return spark.range(first, end, 1, PARTITIONS).selectExpr(f"{prompt_sql('CAST(id AS STRING)')} AS text")


def sender(spark: SparkSession, function: Callable[[str], Column]) -> Send:
    """Sends through a function of the column `text`; the answers go nowhere."""

    def send(first: int, end: int) -> None:
        rows = rows_of(spark, first, end).select(function("text").alias("answer"))
        rows.write.format("noop").mode("overwrite").save()

    return send
