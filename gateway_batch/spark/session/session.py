"""A Delta-enabled session that suits one machine."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from delta import configure_spark_with_delta_pip
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

import gateway_batch
from gateway_batch.config import USAGE_TABLE, WAREHOUSE
from gateway_batch.errors import ConfigError
from gateway_batch.spark.session.sql_text import literal, quoted
from gateway_batch.spark.session.system_catalog import name_system_table

_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    # Tasks by which VACUUM lists a table's files; Spark's default is 10,000.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "32",
    # Delta 4.4's parser doesn't hand the values of parameter markers on; substituted this way, they don't need it to.
    "spark.sql.legacy.parameterSubstitution.constantsOnly": "true",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

WORKER_DAEMON = "gateway_batch.spark.worker.worker_daemon"
"""The module of the process that a local session's Python workers are forked from."""

_JAVA_OPTIONS = ("SPARK_SUBMIT_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
"""Environment variables from which Java takes options."""

_CONTAINER_LIMITS = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
"""Bytes that the processes of a container may have, by version 2 and 1 of Linux's control groups."""


def local_session(
    warehouse: str | os.PathLike[str] = WAREHOUSE,
    master: str = "local[*,4]",
    app_name: str = "gateway_batch",
    settings: dict[str, str] | None = None,
) -> SparkSession:
    """A session with Delta on this machine, or the one that is already active.

    Args:
        warehouse: folder of the tables. Delta tables that an earlier session left there are found again by name.
        master: the 4 in the default is how often Spark tries a task; plain `local[*]` never retries one.
        app_name: the Spark application's name.
        settings: further Spark settings, and other values for the ones set here. `spark.driver.memory` is a quarter
            of the memory that this process may have, 1 to 4 GiB, and its collector is the parallel one, unless the
            environment (SPARK_SUBMIT_OPTS, JAVA_TOOL_OPTIONS) names another.

    Raises:
        ConfigError: Spark can't start, saying what to look at.
    """
    folder = Path(warehouse).absolute()
    python = os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers take the first python3 on PATH
    builder = SparkSession.builder.master(master).appName(app_name)
    chosen = {
        **_SETTINGS,
        "spark.sql.warehouse.dir": str(folder),
        "spark.driver.memory": f"{_heap_mib()}m",
        "spark.driver.extraJavaOptions": _collector(),
        **_ready_workers(python, (settings or {}).get("spark.master", master)),
        **(settings or {}),
    }
    for name, value in chosen.items():
        builder = builder.config(name, value)
    try:
        spark = configure_spark_with_delta_pip(builder).getOrCreate()
    except PySparkRuntimeError as error:
        raise ConfigError(
            "Spark could not start. It needs Java 17 or 21 (JAVA_HOME, or java on PATH) and, the first time, a network "
            f"that reaches a Maven repository for Delta's jars; what it printed above says which is missing. ({error})"
        ) from error
    _register_tables(spark, folder)
    name_system_table(spark, USAGE_TABLE)
    return spark


def _ready_workers(python: str, master: str) -> dict[str, str]:
    """Where workers are this interpreter on this machine: others may not have the package before a task brings it."""
    is_here = python == sys.executable and re.match(r"local(\[|$)", master)
    if not is_here or not _imports(python, gateway_batch.__file__):
        return {}
    return {"spark.python.daemon.module": WORKER_DAEMON}


def _imports(python: str, package: str) -> bool:
    """Whether a new process has this package too; one that a program found by a `sys.path` of its own hasn't."""
    code = "from importlib.util import find_spec; print(getattr(find_spec('gateway_batch'), 'origin', None))"
    try:
        process = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False  # workers that start slowly are better than no session
    return process.stdout.strip() == package


def _collector() -> str:
    """Throughput before short pauses: with Java's own choice, grouping ten million usage records takes a tenth longer.

    Java starts with one collector only, so that one that the environment names is left alone.
    """
    given = " ".join(os.environ.get(name, "") for name in _JAVA_OPTIONS)
    return "" if re.search(r"-XX:\+Use\w+GC\b", given) else "-XX:+UseParallelGC"


def _heap_mib() -> int:
    memory = min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_container_limits()])
    return max(1024, min(4096, memory // 4 // 2**20))


def _container_limits() -> Iterator[int]:
    for file in _CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            yield int(file.read_text(encoding="ascii"))


def _register_tables(spark: SparkSession, warehouse: Path) -> None:
    """Without a metastore a session forgets table names when it ends; the Delta files are still there."""
    for log in [*warehouse.glob("*/_delta_log"), *warehouse.glob("*.db/*/_delta_log")]:
        if not any(log.glob("*.json")):  # a table whose first write was interrupted is none yet
            continue
        table = log.parent
        schema = table.parent.name.removesuffix(".db") if table.parent != warehouse else "default"
        name = f"{schema}.{table.name}"
        if not spark.catalog.tableExists(quoted(name)):
            spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            spark.sql(f"CREATE TABLE {quoted(name)} USING DELTA LOCATION {literal(str(table))}")
