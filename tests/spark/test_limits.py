"""Rates and budgets over all tasks of an application, by each way to share them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PythonException
from pyspark.sql import Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.reconcile import books_agree
from tests.redis_server import RedisServer, redis_running
from tests.spark.conftest import MODEL, TOKEN, Register

ROWS = 120


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis"), password="limits-secret") as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningGateway]:
    """With a ledger of the test's own."""
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite")) as gateway:
        yield gateway


@pytest.fixture(params=["host", "driver", "redis"])
def shared(request: pytest.FixtureRequest, redis: RedisServer) -> dict[str, Any]:
    """Settings of one way to share limits."""
    if request.param == "redis":
        return {"coordination": redis.url, "coordination_name": f"test-{time.monotonic_ns()}"}
    return {"coordination": request.param}


def ask(spark: SparkSession, rows: int = ROWS, arguments: str = ", failOnError => false") -> list[Row]:
    """A query of four tasks."""
    call = f"ai_query('{MODEL}', 'Lake ' || id {arguments})"
    return spark.range(0, rows, 1, 4).selectExpr(f"{call} AS a").collect()


def check_books(gateway: gb.Gateway, server: RunningGateway) -> None:
    gateway.usage.flush()
    classes = gateway.usage.reconcile(server.ledger).groupBy("class").count().collect()
    assert books_agree({row["class"]: row["count"] for row in classes})


def spent(spark: SparkSession, gateway: gb.Gateway) -> int:
    gateway.usage.flush()
    return int(spark.table(gateway.usage.table).selectExpr("sum(total_tokens) AS t").collect()[0].t)


def test_max_requests_are_sent_and_the_other_rows_say_why_not(
    spark: SparkSession, register: Register, server: RunningGateway, shared: dict[str, Any]
) -> None:
    gateway = register(budget={"max_requests": 50}, max_concurrency=8, **shared)
    answers = [row.a for row in ask(spark)]
    assert server.stats()["requests"] == sum(answer.result is not None for answer in answers) == 50
    errors = {answer.errorMessage for answer in answers if answer.result is None}
    assert len(errors) == 1
    assert "the budget is spent: max_requests is 50, and 50 requests were sent" in errors.pop()
    assert all(row.a.result is None for row in ask(spark, 10)), "a second query has nothing left"
    assert server.stats()["requests"] == 50
    check_books(gateway, server)


def test_tokens_stop_within_what_is_in_flight_and_the_ledger_agrees(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(max_concurrency=4)
    ask(spark)
    of_all = spent(spark, gateway)
    gateway = register(budget={"max_total_tokens": of_all // 2}, max_concurrency=4, cache="off")
    server.reset()
    answered = sum(row.a.result is not None for row in ask(spark))
    used = spent(spark, gateway) - of_all
    most_of_one = 2 * of_all / ROWS
    assert of_all // 2 <= used <= of_all // 2 + 4 * most_of_one
    assert answered == server.stats()["requests"]
    check_books(gateway, server)


def test_a_spent_budget_fails_the_query_and_its_other_tries_pay_nothing(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    register(budget={"max_requests": 30}, max_concurrency=4)
    with pytest.raises(PythonException, match="the budget is spent: max_requests is 30"):
        ask(spark, arguments="")
    assert server.stats()["requests"] == 30


def test_dollars_by_the_endpoints_prices(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    endpoints = {MODEL: {"prices": {"input": 1000.0, "output": 1000.0}}}
    gateway = register(budget={"max_cost_usd": 2.0}, endpoints=endpoints, max_concurrency=2)
    answered = sum(row.a.result is not None for row in ask(spark))
    assert 0 < answered < ROWS
    assert 2000 <= spent(spark, gateway) <= 2000 + 2 * 100


def test_a_budget_in_dollars_needs_a_price(spark: SparkSession, register: Register) -> None:
    register(budget={"max_cost_usd": 1.0})
    with pytest.raises(Exception, match=r"no list price is known of some-model: set endpoints\['some-model'\].prices"):
        spark.sql("SELECT ai_query('some-model', 'x')")


def test_requests_per_minute_hold_over_all_tasks(
    spark: SparkSession, register: Register, server: RunningGateway, shared: dict[str, Any]
) -> None:
    gateway = register(requests_per_minute=1800, max_concurrency=32, **shared)
    ask(spark, 90)
    gateway.usage.flush()
    times = spark.table(gateway.usage.table).selectExpr("unix_micros(event_time) / 1e6 AS at").orderBy("at").collect()
    sent = [row.at for row in times]
    assert len(sent) == 90
    # 30 a second; a bucket of 16 comes on top.
    assert max(sum(start <= at < start + 2 for at in sent) for start in sent) <= 60 + 16 + 4
    assert sent[-1] - sent[0] <= 2 * 90 / 30


def test_the_concurrency_holds_over_all_tasks(
    spark: SparkSession, register: Register, server: RunningGateway, shared: dict[str, Any]
) -> None:
    register(max_concurrency=6, **shared)
    server.configure(latency_ms=100)
    ask(spark)
    assert 5 <= server.stats()["max_in_flight"] <= 6


def test_no_secret_of_the_coordination_is_in_a_plan(
    spark: SparkSession, register: Register, redis: RedisServer
) -> None:
    from gateway_batch.spark.leases import lease_server_of

    for coordination, secret in (
        (redis.url, "limits-secret"),
        ("driver", lease_server_of(spark.sparkContext).token),
    ):
        gateway = register(coordination=coordination)
        plan = spark.sql(f"SELECT ai_query('{MODEL}', 'x' || id) FROM range(3)")._jdf.queryExecution().toString()
        assert secret not in plan
        assert secret not in repr(gateway.config)


def test_redis_killed_and_restarted_in_the_middle(
    spark: SparkSession, register: Register, server: RunningGateway, redis: RedisServer
) -> None:
    gateway = register(coordination=redis.url, coordination_name="killed", requests_per_minute=900, max_concurrency=8)
    answers: list[Row] = []
    query = threading.Thread(target=lambda: answers.extend(ask(spark, 200)))
    query.start()
    until = time.monotonic() + 60
    while server.stats()["requests"] < 40:
        assert time.monotonic() < until
        time.sleep(0.05)
    redis.kill()
    time.sleep(3)
    redis.start()
    query.join(120)
    assert sum(row.a.result is not None for row in answers) == 200
    assert server.stats()["max_in_flight"] <= 8
    times = spark.table(gateway.usage.table) if gateway.usage.flush() else None
    assert times is not None
    sent = sorted(row.at for row in times.selectExpr("unix_micros(event_time) / 1e6 AS at").collect())
    assert max(sum(start <= at < start + 3 for at in sent) for start in sent) <= 45 + 10
