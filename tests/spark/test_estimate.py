"""Estimates against what the run then takes, on three kinds of input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.cli.texts import docstrings
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.jobs.estimate import check_cost, estimate_batch
from tests.spark.conftest import MODEL, TOKEN, Count

ROWS, SAMPLE = 1_500, 200


@pytest.fixture
def schema(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    name = f"e_{abs(hash(str(tmp_path))):x}"
    spark.sql(f"CREATE SCHEMA {name}")
    yield name
    spark.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def config(server: RunningGateway, schema: str, tmp_path: Path) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(
        host=server.host, token=TOKEN, spool_dir=str(tmp_path / "spool"), usage_table=f"{schema}.usage"
    )


def documentation(spark: SparkSession) -> DataFrame:
    """Real text, from a line to pages."""
    texts = [(number, text) for number, (_, text) in enumerate(docstrings(ROWS))]
    return spark.createDataFrame(texts, "id BIGINT, body STRING")


def long_tailed(spark: SparkSession) -> DataFrame:
    """Sentences in numbers from 1 to 60, few of them many; each text three times."""
    sentences = "CAST(ceil(60 * pow(rand(3), 4)) AS INT)"
    return spark.range(0, ROWS, 1, 4).selectExpr(
        "id", f"repeat('Lake ' || (id DIV 3) || ' is a deep and quiet lake. ', {sentences}) AS body"
    )


def reviews(spark: SparkSession) -> DataFrame:
    """Short texts of two languages."""
    lines = [
        (number, f"Number {number}: {'die Suppe war kalt' if number % 2 else 'the soup was cold, and the bread old'}.")
        for number in range(ROWS)
    ]
    return spark.createDataFrame(lines, "id BIGINT, body STRING")


@pytest.mark.parametrize("texts", [documentation, long_tailed, reviews], ids=lambda texts: texts.__name__)
def test_estimates_hold(
    spark: SparkSession,
    config: gb.GatewayConfig,
    schema: str,
    requests: Count,
    texts: Callable[[SparkSession], DataFrame],
) -> None:
    texts(spark).write.format("delta").saveAsTable(f"{schema}.texts")
    job = gb.BatchJob(f"{schema}.texts", f"{schema}.answers", ["id"], MODEL, "Summarize: {body}")
    found: dict[str, gb.Estimate] = {}
    assert requests(lambda: found.update(counted=estimate_batch(spark, job, config))) == 0
    counted = found["counted"]
    assert counted.rows == spark.table(f"{schema}.texts").count()
    assert requests(lambda: found.update(sampled=estimate_batch(spark, job, config, sample=SAMPLE))) == SAMPLE
    sampled = found["sampled"]
    assert (sampled.rows, sampled.requests) == (counted.rows, counted.requests)

    assert requests(lambda: gb.run_batch(spark, job, config)) == counted.requests - SAMPLE
    took = spark.table(f"{schema}.answers").dropDuplicates(["request_hash"]).selectExpr(
        "count(*) AS requests", "sum(input_tokens) AS given", "sum(output_tokens) AS answered", "sum(cost_usd) AS cost"
    ).first()  # fmt: skip
    assert took is not None
    assert took.requests == counted.requests
    assert counted.input_tokens.middle == pytest.approx(took.given, rel=0.02)
    assert sampled.cost_usd is not None
    figures = {
        "input": (sampled.input_tokens, took.given),
        "output": (sampled.output_tokens, took.answered),
        "cost": (sampled.cost_usd, float(took.cost)),
    }
    for name, (interval, truth) in figures.items():
        print(f"{name}: {interval.low:,.4f} to {interval.high:,.4f}, middle {interval.middle / truth - 1:+.1%}")
        assert interval.low * 0.999 <= truth <= interval.high * 1.001, name
    assert sampled.cost_usd.middle == pytest.approx(float(took.cost), rel=0.10)
    assert sampled.seconds is not None
    assert sampled.seconds > 0


def lakes(spark: SparkSession, schema: str) -> gb.BatchJob:
    spark.sql(f"CREATE TABLE {schema}.lakes USING DELTA AS SELECT id, 'Lake ' || id AS body FROM range(40)")
    return gb.BatchJob(f"{schema}.lakes", f"{schema}.answers", ["id"], MODEL, "Summarize: {body}")


def test_without_a_sample_the_output_is_an_assumption(spark: SparkSession, config: Any, schema: str) -> None:
    job = lakes(spark, schema)
    assert "Each answer has 200 tokens (an assumption)" in " ".join(estimate_batch(spark, job, config).assumptions)
    limited = replace(job, model_parameters={"max_tokens": 50})
    assert estimate_batch(spark, limited, config).output_tokens.middle == 40 * 50
    assert estimate_batch(spark, job, config, output_tokens=7).output_tokens.middle == 40 * 7
    assert estimate_batch(spark, job, config).seconds is None
    slow = config.model_copy(update={"requests_per_minute": 20})
    assert estimate_batch(spark, job, slow).seconds == 120
    assert estimate_batch(spark, job, config, max_rows=10).requests == 10


def test_what_is_answered_is_not_estimated_again(spark: SparkSession, config: Any, schema: str) -> None:
    job = lakes(spark, schema)
    gb.run_batch(spark, job, config)
    done = estimate_batch(spark, job, config, sample=5)
    assert (done.rows, done.requests, done.sampled) == (0, 0, 0)
    assert done.cost_usd is not None
    assert done.cost_usd.middle == 0


def test_a_sample_of_all_is_what_it_cost(spark: SparkSession, config: Any, schema: str) -> None:
    found = estimate_batch(spark, lakes(spark, schema), config, sample=100)
    cost = spark.table(f"{schema}.answers").selectExpr("CAST(sum(cost_usd) AS DOUBLE) AS cost").first()
    assert cost is not None
    assert found.sampled == found.requests == 40
    assert found.cost_usd is not None
    assert found.cost_usd.low == found.cost_usd.high == pytest.approx(cost.cost)


def test_a_cap_refuses_with_the_figures(spark: SparkSession, config: Any, schema: str, requests: Count) -> None:
    job = lakes(spark, schema)

    def refused() -> None:
        with pytest.raises(ConfigError, match=r"about 0\.\d+ USD, above 0\.0010: 40 requests with \d+ input and 8,000"):
            check_cost(spark, job, config, 0.001)
        with pytest.raises(ConfigError, match=r"the job's cost is not known\. No price of my-own is known"):
            check_cost(spark, replace(job, endpoint="my-own"), config, 0.001)

    assert requests(refused) == 0
    check_cost(spark, job, config, 10)
