"""`max_concurrency` of registrations that are at work at the same time."""

from __future__ import annotations

import threading
import time

from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, Register


def test_a_narrow_registration_is_not_kept_waiting_by_a_wide_one(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    register(name="wide_query", max_concurrency=4)
    register(name="narrow_query", max_concurrency=1)
    server.configure(latency_ms=100)
    many = spark.range(0, 300, 1, 1).selectExpr(f"wide_query('{MODEL}', concat('Lake ', id)) AS answer")
    wide = threading.Thread(target=many.collect)
    wide.start()
    try:
        until = time.monotonic() + 60
        while server.stats()["requests"] < 8:
            assert time.monotonic() < until, "the wide query sends nothing"
            time.sleep(0.05)
        spark.sql(f"SELECT narrow_query('{MODEL}', 'Lake') AS answer").collect()
        assert wide.is_alive(), "the narrow query had to wait for the wide one"
    finally:
        server.configure(latency_ms=None)
        wide.join()
