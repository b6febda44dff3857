"""A worker that is killed loses no record, and a damaged outcome is reported."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.spark.conftest import MODEL, Register, own_classes, own_rows


@pytest.fixture
def gateway(register_shared: Register) -> gb.Gateway:
    return register_shared()


def test_a_damaged_outcome_is_reported_and_its_request_is_of_unknown_outcome(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    for word in ("one", "two"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
    first = min((gateway.usage.spool_dir / "sealed").glob("*.log"))
    first.write_bytes(first.read_bytes().replace(b" O {", b" O [", 1))
    gateway.usage.flush()
    outcomes = own_rows(gateway).select("client_metadata.outcome").collect()
    assert sorted(row.outcome for row in outcomes) == ["answered", "unknown"]
    assert own_classes(gateway, server) == {"unknown_resolved": 1}
    assert f"1 damaged lines in {first.name}: 1 outcomes are lost" in caplog.text
    assert [path.name for path in (gateway.usage.spool_dir / "damaged").iterdir()] == [first.name]


def test_a_killed_worker_loses_no_record(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    rows, in_flight = 160, 16
    gateway = register_shared(max_concurrency=in_flight)
    server.configure(latency_ms=200)
    frame = spark.range(0, rows, 1, 2).selectExpr("id", f"ai_query('{MODEL}', concat('Lake ', id)) AS a")
    with ThreadPoolExecutor(1) as killer:
        killed = killer.submit(_kill_a_busy_worker, gateway.usage.spool_dir)
        answers = frame.collect()
    assert killed.result(), "no worker was killed"
    assert [row.id for row in answers] == list(range(rows))
    assert all(row.a for row in answers)
    gateway.usage.flush()
    found = own_classes(gateway, server)
    assert classes_reconcile(found)
    unknown = found.get("unknown_resolved", 0) + found.get("never_sent", 0)
    assert 0 < unknown <= in_flight
    assert own_rows(gateway).count() >= rows + unknown


def _kill_a_busy_worker(spool_dir: Path) -> bool:
    """Kills the first worker that has answers; its writer's name has the process id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for segment in (spool_dir / "active").glob("*/[0-9]*.log"):
            try:
                busy = segment.read_bytes().count(b" O {") > 5
            except FileNotFoundError:
                continue
            if busy:
                os.kill(int(segment.parent.name.split("-")[-2]), signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False
