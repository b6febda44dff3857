"""When a query ends early nothing more is sent, and what was in flight is recorded; times are the gateway's own."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from pyspark import InheritableThread
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.spark.conftest import MODEL, SHARED_LEDGER, TOKEN, Register, own_classes, own_rows

ROWS, IN_FLIGHT, LATENCY_MS = 10_000, 64, 200
UNDER_WAY = 100
"""Requests after which a query is ended: the rows would last for half a minute."""


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN, latency_ms=LATENCY_MS, ledger=tmp_path / "ledger.sqlite")) as server:
        yield server


@pytest.fixture
def slow_gateway(
    register: Register, slow_server: RunningGateway, tmp_path: Path, request: pytest.FixtureRequest
) -> gb.Gateway:
    """Its parameter is the setting `cache`."""
    shared = {"usage_table": SHARED_LEDGER, "requester": tmp_path.name, "cache": getattr(request, "param", "query")}
    return register(host=slow_server.host, max_concurrency=IN_FLIGHT, **shared)


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


def check_stopped(server: RunningGateway, ended_at: float, within_s: float | None = None) -> None:
    """That most rows were never sent, whatever else keeps the processors busy, and none after that many seconds."""
    wait_until_all_is_quiet(server)
    later = sent_after(server, ended_at)
    assert len(later) < ROWS / 3
    assert within_s is None or not later or later[-1] < within_s


def check_ledger(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> Counter[tuple[str, str | None]]:
    """That they agree, with every outcome known; returns the rows' outcomes and errors."""
    until = time.monotonic() + 30
    while True:  # workers seal their records a moment after the query has ended
        gateway.usage.flush()
        classes = own_classes(gateway, server)
        if "missing" not in classes or time.monotonic() > until:
            break
    assert classes_reconcile(classes), classes
    rows = own_rows(gateway).select("client_metadata.outcome", "client_metadata.error_kind").collect()
    found = Counter((row.outcome, row.error_kind) for row in rows)
    assert set(found) <= {("answered", None), ("answered", "bad_request"), ("no_answer", "cancelled")}
    return found


def cancelled(spark: SparkSession, answers: DataFrame, server: RunningGateway, *, interrupt: bool) -> tuple[float, str]:
    """Cancels a query under way by its job group; returns when, and the query's error."""
    failures: list[str] = []

    def collect() -> None:
        spark.sparkContext.setJobGroup("answers", "to be cancelled", interruptOnCancel=interrupt)
        try:
            answers.collect()
        except Exception as error:
            failures.append(str(error))

    query = InheritableThread(target=collect)
    query.start()
    wait_until_under_way(server)
    ended_at = time.time()
    spark.sparkContext.cancelJobGroup("answers")
    query.join()
    return ended_at, failures[0]


@pytest.mark.parametrize(
    ("slow_gateway", "interrupt"),
    [("query", False), ("off", True)],
    ids=["left alone", "interrupted, answers not shared"],
    indirect=["slow_gateway"],
)
def test_a_cancelled_job_group_stops(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame, *, interrupt: bool
) -> None:
    ended_at, error = cancelled(spark, answers, slow_server, interrupt=interrupt)
    check_stopped(slow_server, ended_at)
    assert "cancelled" in error
    found = check_ledger(spark, slow_gateway, slow_server)
    assert found["no_answer", "cancelled"] > 0
    assert found.total() == slow_server.stats()["requests"]


def test_the_siblings_of_a_failed_task_stop(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame
) -> None:
    slow_server.configure(faults=[{"match": f"Lake {ROWS // 2 + 50} ", "status": 400}])
    with pytest.raises(PythonException, match="BAD_REQUEST"):
        answers.collect()
    ended_at = time.time()
    check_stopped(slow_server, ended_at)
    found = check_ledger(spark, slow_gateway, slow_server)
    assert found["answered", "bad_request"] == 1
    assert found["no_answer", "cancelled"] > 0


@pytest.fixture
def no_rules(spark: SparkSession) -> Iterator[None]:
    """A LIMIT that no call is told of, so that Spark hangs up in the midst of its calls."""
    spark.conf.set("spark.gateway_batch.optimizer", "false")
    yield
    spark.conf.unset("spark.gateway_batch.optimizer")


def test_a_limit_on_the_answers_stops(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, answers: DataFrame, no_rules: None
) -> None:
    slow_server.configure(latency_ms=50)
    assert len(answers.where("answer != ''").limit(200).collect()) == 200
    ended_at = time.time()
    check_stopped(slow_server, ended_at)
    assert check_ledger(spark, slow_gateway, slow_server)["no_answer", "cancelled"] > 0


def test_batches_that_fill_the_buffer_on_their_way_to_a_task_that_has_ended_lose_no_record(
    spark: SparkSession, slow_gateway: gb.Gateway, slow_server: RunningGateway, no_rules: None
) -> None:
    slow_server.configure(latency_ms=20)
    text = f"ai_query('{MODEL}', 'Summarize: ' || repeat('a lake is deep ', 40) || id)"
    answers = spark.range(0, 6000, 1, 2).selectExpr(f"repeat({text}, 100) AS answer")
    assert len(answers.where("answer != ''").limit(200).collect()) == 200
    check_stopped(slow_server, time.time())
    check_ledger(spark, slow_gateway, slow_server)
