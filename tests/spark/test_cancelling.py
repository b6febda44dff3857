"""When a query ends early nothing more is sent, and what was in flight is recorded; times are the gateway's own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from pyspark import InheritableThread
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.reconcile import books_agree
from tests.spark.conftest import MODEL, TOKEN, Register

ROWS, IN_FLIGHT, LATENCY_MS = 10_000, 64, 200
STOPS_WITHIN_S = 1.0
UNDER_WAY = 500
"""Requests after which a query is ended: the rows would last for half a minute."""


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN, latency_ms=LATENCY_MS, ledger=tmp_path / "ledger.sqlite")) as server:
        yield server


@pytest.fixture
def slow_gateway(register: Register, slow_server: RunningGateway) -> gb.Gateway:
    return register(host=slow_server.host, max_concurrency=IN_FLIGHT)


@pytest.fixture
def answers(spark: SparkSession, slow_gateway: gb.Gateway) -> DataFrame:
    """Two tasks of 5,000 rows each."""
    return spark.range(0, ROWS, 1, 2).selectExpr("id", f"ai_query('{MODEL}', 'Lake ' || id || ' is deep') AS answer")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def wait_until_under_way(server: RunningGateway) -> None:
    wait_until(lambda: server.stats()["requests"] >= UNDER_WAY, "the query sends nothing")


def wait_until_all_is_quiet(server: RunningGateway) -> None:
    """Twice as long as a request lasts without a new one; each that was taken is in the gateway's ledger then."""
    seen, quiet_since = -1, time.monotonic()
    while time.monotonic() - quiet_since < 2 * LATENCY_MS / 1000:
        stats = server.stats()
        if stats["in_flight"] or stats["requests"] != seen:
            seen, quiet_since = stats["requests"], time.monotonic()
        assert seen < ROWS, "the query was never ended"
        time.sleep(0.02)


def sent_after(server: RunningGateway, ended_at: float) -> list[float]:
    """Seconds from then to each later request, as the gateway took it."""
    with closing(sqlite3.connect(server.ledger)) as ledger:
        times = [datetime.fromisoformat(at).timestamp() for (at,) in ledger.execute("SELECT event_time FROM usage")]
    return sorted(at - ended_at for at in times if at > ended_at)


def check_stopped(server: RunningGateway, ended_at: float) -> None:
    wait_until_all_is_quiet(server)
    later = sent_after(server, ended_at)
    assert not later or later[-1] < STOPS_WITHIN_S


def check_books(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> Counter[tuple[str, str | None]]:
    """That they agree, with every outcome known; returns the rows' outcomes and errors."""
    gateway.usage.flush()
    classes = Counter(row["class"] for row in gateway.usage.reconcile(server.ledger).collect())
    assert books_agree(classes), classes
    rows = spark.table(gateway.usage.table).select("client_metadata.outcome", "client_metadata.error_kind").collect()
    found = Counter((row.outcome, row.error_kind) for row in rows)
    assert set(found) <= {("answered", None), ("answered", "bad_request"), ("no_answer", "cancelled")}
    return found


@pytest.mark.parametrize("interrupt", [False, True], ids=["left alone", "interrupted"])
def test_a_cancelled_job_group_stops(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame, *, interrupt: bool
) -> None:
    failures: list[str] = []

    def collect() -> None:
        spark.sparkContext.setJobGroup("answers", "to be cancelled", interruptOnCancel=interrupt)
        try:
            answers.collect()
        except Exception as error:
            failures.append(str(error))

    query = InheritableThread(target=collect)
    query.start()
    wait_until_under_way(slow_server)
    ended_at = time.time()
    spark.sparkContext.cancelJobGroup("answers")
    check_stopped(slow_server, ended_at)
    query.join()
    assert "cancelled" in failures[0]
    assert check_books(spark, slow_gateway, slow_server)["no_answer", "cancelled"] > 0


def test_the_siblings_of_a_failed_task_stop(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame
) -> None:
    slow_server.configure(faults=[{"match": f"Lake {ROWS // 2 + 200} ", "status": 400}])
    with pytest.raises(PythonException, match="BAD_REQUEST"):
        answers.collect()
    ended_at = time.time()
    check_stopped(slow_server, ended_at)
    found = check_books(spark, slow_gateway, slow_server)
    assert found["answered", "bad_request"] == 1
    assert found["no_answer", "cancelled"] > 0


def test_a_limit_on_the_answers_stops(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame
) -> None:
    assert len(answers.where("answer != ''").limit(1200).collect()) == 1200
    ended_at = time.time()
    check_stopped(slow_server, ended_at)
    assert check_books(spark, slow_gateway, slow_server)["no_answer", "cancelled"] > 0


def test_batches_that_fill_the_buffer_on_their_way_to_a_task_that_has_ended_lose_no_record(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway
) -> None:
    slow_server.configure(latency_ms=20)
    text = f"ai_query('{MODEL}', 'Summarize: ' || repeat('a lake is deep ', 40) || id)"
    answers = spark.range(0, 6000, 1, 2).selectExpr(f"repeat({text}, 100) AS answer")
    assert len(answers.where("answer != ''").limit(1200).collect()) == 1200
    check_stopped(slow_server, time.time())
    check_books(spark, slow_gateway, slow_server)


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


def test_ctrl_c_that_ends_the_driver_stops(
    spark: SparkSession, register: Register, slow_server: RunningGateway, tmp_path: Path
) -> None:
    with driver(slow_server, tmp_path / "warehouse", "ends") as process:
        ended_at = time.time()
        os.kill(process.pid, signal.SIGINT)
        check_stopped(slow_server, ended_at)
        process.communicate(timeout=60)
    gateway = register(spool_dir=str(tmp_path / "warehouse/_gateway_batch/spool"))
    assert check_books(spark, gateway, slow_server)["no_answer", "cancelled"] > 0


def test_ctrl_c_leaves_a_session_that_works_until_it_is_stopped(
    spark: SparkSession, register: Register, slow_server: RunningGateway, tmp_path: Path
) -> None:
    with driver(slow_server, tmp_path / "warehouse", "goes on") as process:
        ended_at = time.time()
        os.kill(process.pid, signal.SIGINT)
        check_stopped(slow_server, ended_at)
        slow_server.reset()
        wait_until_under_way(slow_server)
        ended_at = time.time()
        output, _ = process.communicate("stop now\n", timeout=60)
        assert output == "interrupted\n"
        check_stopped(slow_server, ended_at)
    gateway = register(spool_dir=str(tmp_path / "warehouse/_gateway_batch/spool"))
    assert check_books(spark, gateway, slow_server)["no_answer", "cancelled"] > 0
