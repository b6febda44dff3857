"""A spool folder whose calls take long, and a worker that dies in it: no record lost, none twice.

The slowness is put into Python's own calls of these processes: there is no file system here that is slow by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import Settings, running
from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.faults.campaign.processes import kill, wait_for_busy_writer
from tests.spark.conftest import MODEL, TOKEN

ROWS, IN_FLIGHT, SLOW_BY_S = 200, 16, 0.04

SITE = f"""
import os, time
slow = os.environ["SLOW_FOLDER"]
def slowed(call):
    def wait_and_call(target, *arguments, **options):
        path = os.readlink(f"/proc/self/fd/{{target}}") if isinstance(target, int) else os.fspath(target)
        if isinstance(path, str) and path.startswith(slow):
            time.sleep({SLOW_BY_S})
            with open(os.environ["SLOW_CALLS"], "a") as calls:
                calls.write(".")
        return call(target, *arguments, **options)
    return wait_and_call
for name in ("open", "write", "rename", "unlink"):
    setattr(os, name, slowed(getattr(os, name)))
"""

DRIVER = f"""
import sys, gateway_batch as gb
host, folder = sys.argv[1:]
spark = gb.local_session(warehouse=folder + "/warehouse", master="local[2,4]", settings={{"spark.log.level": "OFF"}})
config = gb.GatewayConfig.from_env(
    host=host, token="{TOKEN}", spool_dir=folder + "/spool", max_concurrency={IN_FLIGHT}, flush_interval=0.5
)
with gb.register_ai_query(spark, config):
    rows = spark.range(0, {ROWS}, 1, 4).selectExpr("ai_query('{MODEL}', 'Lake ' || id) AS answer").collect()
    print(sum(bool(row.answer) for row in rows), flush=True)
spark.stop()
"""


@pytest.mark.timeout(400)
def test_a_slow_spool_folder_costs_time_and_no_record(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    spool = tmp_path / "spool"
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "SLOW_FOLDER": str(spool), "SLOW_CALLS": str(tmp_path / "calls")}
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite", latency_ms=100)) as server:
        command = [sys.executable, "-c", DRIVER, server.host, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
            pid = wait_for_busy_writer([spool], 120, 0)
            assert pid is not None
            kill(pid)
            output, _ = driver.communicate(timeout=240)
        assert (driver.returncode, output) == (0, f"{ROWS}\n")
        table = "slow_folder.usage"
        spark.sql("CREATE SCHEMA IF NOT EXISTS slow_folder")
        written = tmp_path / "warehouse" / "ai_gateway.db" / "usage"
        spark.sql(f"CREATE TABLE {table} USING DELTA LOCATION '{written}'")
        config = gb.GatewayConfig.from_env(
            host=server.host, token=TOKEN, spool_dir=str(spool), usage_table=table, flush_interval=0
        )
        with gb.register_ai_query(spark, config) as gateway:
            gateway.usage.flush()
            counts = {
                row["class"]: row["count"]
                for row in gateway.usage.reconcile(server.ledger).groupBy("class").count().collect()
            }
    assert classes_reconcile(counts), counts
    assert sum(counts.values()) <= IN_FLIGHT
    assert spark.table(table).count() >= ROWS
    assert (tmp_path / "calls").stat().st_size > ROWS, "the folder was not slow"
