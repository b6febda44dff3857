"""A query that is interrupted stops sending, and what was in flight is recorded."""

from __future__ import annotations

import threading
import time

from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.reconcile import books_agree
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
    wait_for_requests(server, 500)
    spark.interruptAll()
    time.sleep(1.0)  # within which it must have stopped
    sent = server.stats()["requests"] + server.stats()["in_flight"]
    query.join()
    time.sleep(2 * LATENCY_MS / 1000)
    assert server.stats()["requests"] <= sent < ROWS
    assert failures
    gateway.usage.flush()
    rows = gateway.usage.reconcile(server.ledger).collect()
    assert books_agree({row["class"]: 1 for row in rows if row["class"] != "missing"})  # others' of the shared gateway
    outcomes = spark.table(gateway.usage.table).select("client_metadata.outcome", "client_metadata.error_kind")
    assert {tuple(row) for row in outcomes.collect()} == {("answered", None), ("no_answer", "cancelled")}


def wait_for_requests(server: RunningGateway, count: int) -> None:
    until = time.monotonic() + 60
    while server.stats()["requests"] < count:
        assert time.monotonic() < until, "the query sends nothing"
        time.sleep(0.02)
