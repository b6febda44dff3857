"""A query that is interrupted stops sending, and what was in flight is recorded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.connect.conftest import MODEL, Register

ROWS, LATENCY_MS = 10_000, 200


def test_an_interrupted_query_stops(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    gateway = register()
    server.configure(latency_ms=LATENCY_MS)
    failures: list[str] = []

    def collect() -> None:
        try:
            spark.range(0, ROWS, 1, 2).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id)").collect()
        except Exception as error:
            failures.append(str(error))

    query = threading.Thread(target=collect)
    query.start()
    wait_until(lambda: server.stats()["requests"] >= 100, "the query sends nothing")
    spark.interruptAll()
    query.join()
    wait_until(lambda: server.stats()["in_flight"] == 0, "the query runs on")
    sent = server.stats()["requests"]
    time.sleep(2 * LATENCY_MS / 1000)
    assert server.stats()["requests"] == sent < ROWS
    assert failures
    gateway.usage.flush()
    rows = gateway.usage.reconcile(server.ledger).collect()
    assert classes_reconcile(
        {row["class"]: 1 for row in rows if row["class"] != "missing"}
    )  # others' of the shared gateway
    outcomes = spark.table(gateway.usage.table).select("client_metadata.outcome", "client_metadata.error_kind")
    assert {tuple(row) for row in outcomes.collect()} == {("answered", None), ("no_answer", "cancelled")}


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)
