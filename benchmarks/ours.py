"""Our side: `ai_query` over a cached table in a local Spark session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import SparkSession

from benchmarks.children import Server
from benchmarks.cpu import TreeClock
from benchmarks.load import MODEL, Load, prompt_sql
from gateway_batch import Gateway, GatewayConfig, local_session, register_ai_query

_PARTITIONS = 2
_SETTINGS = {"spark.ui.showConsoleProgress": "false"}


@dataclass(frozen=True, slots=True)
class OurRun:
    """What one query cost.

    Attributes:
        seconds: of the query, planning included, the flush after it not.
        workers_cpu_s: CPU seconds of the Python workers over the query.
        tree_cpu_s: CPU seconds of driver, JVM and workers over the query.
        flush_seconds: of the flush after the query.
        flush_cpu_s: CPU seconds of the tree over that flush.
        recorded: rows that the usage table has more than before.
    """

    seconds: float
    workers_cpu_s: float
    tree_cpu_s: float
    flush_seconds: float
    flush_cpu_s: float
    recorded: int


class OurSide:
    """A session with `ai_query` registered."""

    def __init__(self, spark: SparkSession, gateway: Gateway, server: Server) -> None:
        self._spark = spark
        self._gateway = gateway
        self._without = frozenset({server.pid})

    def prepare(self, rows: int) -> None:
        """Caches a table of that many prompts."""
        numbers = self._spark.range(0, rows, numPartitions=_PARTITIONS)
        table = numbers.selectExpr(f"{prompt_sql('CAST(id AS STRING)')} AS text").cache()
        table.count()
        table.createOrReplaceTempView(f"letters_{rows}")

    def run(self, rows: int) -> OurRun:
        """Answers all rows of a prepared table and flushes their usage."""
        before = self._recorded()
        query = self._spark.sql(f"SELECT ai_query('{MODEL}', text) AS answer FROM letters_{rows}")
        started = time.perf_counter()
        with TreeClock(self._without) as cpu:
            query.write.format("noop").mode("overwrite").save()
            seconds = time.perf_counter() - started
        started = time.perf_counter()
        with TreeClock(self._without) as flush_cpu:
            self._gateway.usage.flush()
            flush_seconds = time.perf_counter() - started
        recorded = self._recorded() - before
        return OurRun(seconds, cpu.workers_s, cpu.tree_s, flush_seconds, flush_cpu.tree_s, recorded)

    def _recorded(self) -> int:
        table = self._gateway.usage.table
        return self._spark.table(table).count() if self._spark.catalog.tableExists(table) else 0


@contextmanager
def our_side(server: Server, load: Load, warehouse: str, flush_interval_s: float) -> Iterator[OurSide]:
    """A session of two task slots in a warehouse folder of its own."""
    spark = local_session(
        warehouse=warehouse, master=f"local[{_PARTITIONS},4]", app_name="benchmarks", settings=_SETTINGS
    )
    config = GatewayConfig.from_env(
        host=server.host, token="bench", max_concurrency=load.in_flight, flush_interval=flush_interval_s
    )
    try:
        with register_ai_query(spark, config) as gateway:
            yield OurSide(spark, gateway, server)
    finally:
        spark.stop()
