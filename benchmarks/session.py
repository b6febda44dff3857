"""Our side: a local Spark session with `ai_query` registered."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from benchmarks.children import Server
from benchmarks.load import TOKEN, prompt_sql
from gateway_batch import Gateway, GatewayConfig, local_session, register_ai_query

PARTITIONS = 2
_SETTINGS = {"spark.ui.showConsoleProgress": "false"}


@contextmanager
def spark_session(*, task_slots: int = PARTITIONS, settings: dict[str, str] | None = None) -> Iterator[SparkSession]:
    """A session of its own, each task tried up to four times, in a warehouse folder that goes with it."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as warehouse:
        chosen = {**_SETTINGS, **(settings or {})}
        spark = local_session(
            warehouse=warehouse, master=f"local[{task_slots},4]", app_name="benchmarks", settings=chosen
        )
        try:
            yield spark
        finally:
            spark.stop()


def register(spark: SparkSession, server: Server, name: str = "ai_query", **settings: Any) -> Gateway:
    """Registers `ai_query` with settings that are the defaults but for those given."""
    config = GatewayConfig.from_env(host=server.host, token=TOKEN, **settings)
    return register_ai_query(spark, config, name=name)


def letters(spark: SparkSession, rows: int, *, partitions: int = PARTITIONS) -> DataFrame:
    """A table of prompts, all different: `id` and `text`."""
    return spark.range(0, rows, numPartitions=partitions).selectExpr(
        "id", f"{prompt_sql('CAST(id AS STRING)')} AS text"
    )


def run_to_nowhere(query: DataFrame) -> None:
    """Runs a query and throws its rows away."""
    query.write.format("noop").mode("overwrite").save()


def recorded(spark: SparkSession, gateway: Gateway) -> int:
    """Rows of the usage table."""
    table = gateway.usage.table
    return spark.table(table).count() if spark.catalog.tableExists(table) else 0
