"""Ctrl-C in a driver, and a cancelled job: nothing more is sent within a second, and what was in flight is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, TOKEN, Register
from tests.spark.test_cancelling import (
    IN_FLIGHT,
    ROWS,
    answers,
    cancelled,
    check_ledger,
    check_stopped,
    slow_gateway,
    slow_server,
    wait_until_under_way,
)

__all__ = ["answers", "slow_gateway", "slow_server"]

WITHIN_S = 1.0

DRIVER = f"""
import sys, threading, gateway_batch as gb
host, folder, then = sys.argv[1:]
spark = gb.local_session(warehouse=folder, master="local[2]", settings={{"spark.log.level": "OFF"}})
config = gb.GatewayConfig.from_env(host=host, token="{TOKEN}", max_concurrency={IN_FLIGHT}, flush_interval=0)
gateway = gb.register_ai_query(spark, config)
answers = spark.range(0, {ROWS}, 1, 2).selectExpr("ai_query('{MODEL}', 'Lake ' || id)")
try:
    answers.collect()
except KeyboardInterrupt:
    if then == "ends":
        raise
    print("interrupted", flush=True)
threading.Thread(target=answers.collect, daemon=True).start()
sys.stdin.readline()
spark.stop()
"""


@contextmanager
def driver(server: RunningGateway, folder: Path, then: str) -> Iterator[subprocess.Popen[str]]:
    """A driver at work, not in our process group, so that a signal reaches it alone."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, server.host, str(folder), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_until_under_way(server)
            yield process
        finally:
            process.kill()


def test_a_cancelled_job_stops_within_a_second(
    spark: SparkSession, answers: DataFrame, slow_server: RunningGateway
) -> None:
    ended_at, _ = cancelled(spark, answers, slow_server, interrupt=False)
    check_stopped(slow_server, ended_at, WITHIN_S)


def test_ctrl_c_that_ends_the_driver_stops(
    spark: SparkSession, register: Register, slow_server: RunningGateway, tmp_path: Path
) -> None:
    with driver(slow_server, tmp_path / "warehouse", "ends") as process:
        ended_at = time.time()
        os.kill(process.pid, signal.SIGINT)
        check_stopped(slow_server, ended_at, WITHIN_S)
        process.communicate(timeout=60)
    gateway = register(spool_dir=str(tmp_path / "warehouse/_gateway_batch/spool"))
    assert check_ledger(spark, gateway, slow_server)["no_answer", "cancelled"] > 0


def test_ctrl_c_leaves_a_session_that_works_until_it_is_stopped(
    spark: SparkSession, register: Register, slow_server: RunningGateway, tmp_path: Path
) -> None:
    with driver(slow_server, tmp_path / "warehouse", "goes on") as process:
        ended_at = time.time()
        os.kill(process.pid, signal.SIGINT)
        check_stopped(slow_server, ended_at, WITHIN_S)
        slow_server.reset()
        wait_until_under_way(slow_server)
        ended_at = time.time()
        output, _ = process.communicate("stop now\n", timeout=60)
        assert output == "interrupted\n"
        check_stopped(slow_server, ended_at, WITHIN_S)
    gateway = register(spool_dir=str(tmp_path / "warehouse/_gateway_batch/spool"))
    assert check_ledger(spark, gateway, slow_server)["no_answer", "cancelled"] > 0
