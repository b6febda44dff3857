"""Rates and budgets over all tasks of an application, by each way to share them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pyspark.errors import PythonException
from pyspark.sql import Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.redis_server import RedisServer, redis_running
from tests.spark.conftest import MODEL, Register, own_classes, own_rows

ROWS = 60


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis"), password="limits-secret") as server:
        yield server


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


def tokens(gateway: gb.Gateway) -> list[int]:
    """Of each request."""
    gateway.usage.flush()
    return [row.total_tokens for row in own_rows(gateway).select("total_tokens").collect()]


def times(gateway: gb.Gateway) -> list[float]:
    """When each request was sent."""
    gateway.usage.flush()
    return sorted(row.at for row in own_rows(gateway).selectExpr("unix_micros(event_time) / 1e6 AS at").collect())


def most_within(seconds: float, sent: list[float]) -> int:
    return max(sum(start <= at < start + seconds for at in sent) for start in sent)


def test_max_requests_are_sent_by_so_many_at_once_and_the_other_rows_say_why_not(
    spark: SparkSession, register_shared: Register, server: RunningGateway, shared: dict[str, Any]
) -> None:
    gateway = register_shared(budget={"max_requests": 30}, max_concurrency=6, **shared)
    server.configure(latency_ms=100)
    answers = [row.a for row in ask(spark)]
    assert 1 < server.stats()["max_in_flight"] <= 6, "the concurrency is that of all tasks"
    assert server.stats()["requests"] == sum(answer.result is not None for answer in answers) == 30
    errors = {answer.errorMessage for answer in answers if answer.result is None}
    assert len(errors) == 1
    assert "the budget is spent: max_requests is 30, and 30 requests were sent" in errors.pop()
    assert all(row.a.result is None for row in ask(spark, 4)), "a second query has nothing left"
    assert server.stats()["requests"] == 30
    gateway.usage.flush()
    assert own_classes(gateway, server) == {}


def test_tokens_stop_within_what_is_in_flight_and_the_ledger_agrees(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    most, in_flight = 500, 4
    gateway = register_shared(budget={"max_total_tokens": most}, max_concurrency=in_flight)
    answered = sum(row.a.result is not None for row in ask(spark))
    used = tokens(gateway)
    assert answered == len(used) == server.stats()["requests"] < ROWS
    assert most <= sum(used) <= most + in_flight * max(used)
    assert own_classes(gateway, server) == {}


def test_reasoning_outside_the_completions_tokens_counts_for_the_budget(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    """Each answer has 1 token of completion, and 386 of reasoning."""
    server.configure(faults=[{"answer": "xai-reasoning-outside-completion"}])
    gateway = register_shared(budget={"max_total_tokens": 2_000}, max_concurrency=2)
    answered = sum(row.a.result is not None for row in ask(spark))
    used = tokens(gateway)
    assert set(used) == {12 + 1 + 386}
    assert answered == len(used) == server.stats()["requests"]
    assert 2_000 <= sum(used) <= 2_000 + 2 * 399
    assert own_classes(gateway, server) == {}


def test_a_spent_budget_fails_the_query_and_its_other_tries_pay_nothing(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    register_shared(budget={"max_requests": 20}, max_concurrency=4)
    with pytest.raises(PythonException, match="the budget is spent: max_requests is 20"):
        ask(spark, arguments="")
    assert server.stats()["requests"] == 20


def test_dollars_by_the_endpoints_prices(spark: SparkSession, register_shared: Register) -> None:
    endpoints = {MODEL: {"prices": {"input": 4000.0, "output": 4000.0}}}
    gateway = register_shared(budget={"max_cost_usd": 2.0}, endpoints=endpoints, max_concurrency=2)
    answered = sum(row.a.result is not None for row in ask(spark))
    assert 0 < answered < ROWS
    used = tokens(gateway)
    assert 500 <= sum(used) <= 500 + 2 * max(used)


def test_a_budget_in_dollars_needs_a_price(spark: SparkSession, register: Register) -> None:
    register(budget={"max_cost_usd": 1.0})
    with pytest.raises(Exception, match=r"no list price is known of some-model: set endpoints\['some-model'\].prices"):
        spark.sql("SELECT ai_query('some-model', 'x')")


def test_requests_per_minute_hold_over_all_tasks(
    spark: SparkSession, register_shared: Register, shared: dict[str, Any]
) -> None:
    gateway = register_shared(requests_per_minute=1800, max_concurrency=32, **shared)
    ask(spark)
    sent = times(gateway)
    assert len(sent) == ROWS
    # 30 a second; a bucket of 16 comes on top. Each task for itself would send all in a second.
    assert most_within(1, sent) <= 30 + 16 + 4
    assert sent[-1] - sent[0] <= 4 * ROWS / 30


def test_no_secret_of_the_coordination_is_in_a_plan(
    spark: SparkSession, register: Register, redis: RedisServer
) -> None:
    from gateway_batch.spark.sql_functions.driver_leases import lease_server_of

    for coordination, secret in (
        (redis.url, "limits-secret"),
        ("driver", lease_server_of(spark.sparkContext).token),
    ):
        gateway = register(coordination=coordination)
        plan = spark.sql(f"SELECT ai_query('{MODEL}', 'x' || id) FROM range(3)")._jdf.queryExecution().toString()
        assert secret not in plan
        assert secret not in repr(gateway.config)


def test_redis_killed_and_restarted_in_the_middle(
    spark: SparkSession, register_shared: Register, server: RunningGateway, redis: RedisServer
) -> None:
    rows = 100
    gateway = register_shared(
        coordination=redis.url, coordination_name="killed", requests_per_minute=1800, max_concurrency=8
    )
    with ThreadPoolExecutor(1) as thread:
        query = thread.submit(ask, spark, rows)
        until = time.monotonic() + 60
        while server.stats()["requests"] < 30:
            assert time.monotonic() < until
            time.sleep(0.02)
        redis.kill()
        time.sleep(1)
        redis.start()
        answers = query.result(120)
    assert sum(row.a.result is not None for row in answers) == rows
    assert server.stats()["max_in_flight"] <= 8
    assert most_within(1.5, times(gateway)) <= 45 + 16 + 4
