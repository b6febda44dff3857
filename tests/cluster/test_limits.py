"""Limits that two hosts share, through the driver and through Redis."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from pyspark.sql import Row

from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.cluster.conftest import MODEL, OnCluster, Register
from tests.redis_server import RedisServer
from tests.waiting import wait_until


@pytest.fixture(params=["driver", "redis"])
def shared(request: pytest.FixtureRequest, redis: RedisServer) -> dict[str, Any]:
    if request.param == "redis":
        return {"coordination": redis.url, "coordination_name": f"test-{time.monotonic_ns()}"}
    return {"coordination": "driver"}


def ask(on: OnCluster, rows: int) -> list[Row]:
    """A query of a task on each host."""
    call = f"ai_query('{MODEL}', 'Lake ' || id, failOnError => false)"
    return on.spark.range(0, rows, 1, 2).selectExpr(f"{call} AS a").collect()


def sent_at(on: OnCluster) -> list[float]:
    on.gateway.usage.flush()
    usage = on.spark.table(on.gateway.usage.table)
    return [row.at for row in usage.selectExpr("unix_micros(event_time) / 1e6 AS at").orderBy("at").collect()]


def test_one_rate_and_one_concurrency(register: Register, shared: dict[str, Any]) -> None:
    on = register(requests_per_minute=3000, max_concurrency=16, **shared)
    on.server.configure(latency_ms=50)
    assert all(row.a.result for row in ask(on, 1500))
    sent = sent_at(on)
    assert len(sent) == 1500
    assert len(on.requests_by_host()) == 2
    assert on.server.stats()["max_in_flight"] <= 16
    assert set(on.server.stats()["by_status"]) == {"200"}
    # 50 a second; a bucket of 26 comes on top.
    assert max(sum(start <= at < start + 10 for at in sent) for start in sent[::20]) <= 500 + 26
    middle = [at for at in sent if sent[0] + 5 <= at < sent[0] + 25]
    assert len(middle) >= 0.9 * 50 * 20
    assert classes_reconcile(on.classes())


def test_one_budget(register: Register, shared: dict[str, Any]) -> None:
    on = register(budget={"max_requests": 300}, max_concurrency=8, **shared)
    on.server.configure(latency_ms=20)
    answered = sum(row.a.result is not None for row in ask(on, 1000))
    assert answered == on.server.stats()["requests"] == len(sent_at(on)) == 300
    assert len(on.requests_by_host()) == 2
    assert classes_reconcile(on.classes())


def test_redis_killed_and_restarted_in_the_middle(register: Register, redis: RedisServer) -> None:
    on = register(
        coordination=redis.url,
        coordination_name=f"killed-{time.monotonic_ns()}",
        requests_per_minute=3000,
        max_concurrency=16,
        budget={"max_requests": 5000},
    )
    on.server.configure(latency_ms=50)
    answers: list[Row] = []
    query = threading.Thread(target=lambda: answers.extend(ask(on, 1200)))
    query.start()
    wait_until(lambda: on.server.stats()["requests"] >= 300)
    redis.kill()
    time.sleep(8)
    redis.start()
    query.join(150)
    assert sum(row.a.result is not None for row in answers) == 1200
    assert on.server.stats()["max_in_flight"] <= 16
    sent = sent_at(on)
    assert max(sum(start <= at < start + 10 for at in sent) for start in sent[::20]) <= 500 + 26
    assert classes_reconcile(on.classes())
