"""Estimates of batch jobs against what the run then takes, on two kinds of input; nightly on a third.

What is assumed without a sample is in `tests/unit/test_request_counts.py`, what a sample says of the rest in
`test_extrapolation.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.cli.texts import docstrings
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.jobs.estimate import check_cost, estimate_batch
from tests.spark.conftest import MODEL, TOKEN, Count

ROWS, SAMPLE = 450, 100
SCHEMA = "estimated_jobs"


@pytest.fixture(scope="module", autouse=True)
def schema(spark: SparkSession) -> Iterator[None]:
    spark.sql(f"CREATE SCHEMA {SCHEMA}")
    spark.sql("CREATE TEMPORARY VIEW twelve_lakes AS SELECT id, 'Lake ' || id AS body FROM range(0, 12, 1, 2)")
    yield
    spark.catalog.dropTempView("twelve_lakes")
    spark.sql(f"DROP SCHEMA {SCHEMA} CASCADE")


@pytest.fixture
def config(server: RunningGateway, spool_dir: Path) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(
        host=server.host, token=TOKEN, spool_dir=str(spool_dir), usage_table=f"{SCHEMA}.usage"
    )


@pytest.fixture
def job() -> gb.BatchJob:
    return gb.BatchJob("twelve_lakes", f"{SCHEMA}.lake_answers", ["id"], MODEL, "Summarize: {body}")


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


@pytest.mark.parametrize(
    "kinds", [(documentation, long_tailed), pytest.param((long_tailed, reviews), marks=pytest.mark.nightly)]
)
def test_estimates_hold(
    spark: SparkSession, config: gb.GatewayConfig, requests: Count, kinds: Sequence[Callable[[SparkSession], DataFrame]]
) -> None:
    """Each kind is estimated for itself; then one run answers the rest of all."""
    texts, output = f"{SCHEMA}.texts", f"{SCHEMA}.answers"
    frames = [kind(spark).select(F.lit(kind.__name__).alias("kind"), "id", "body") for kind in kinds]
    frames[0].union(frames[1]).write.format("delta").saveAsTable(texts)
    every = gb.BatchJob(texts, output, ["kind", "id"], MODEL, "Summarize: {body}")
    counted: dict[str, gb.Estimate] = {}
    sampled: dict[str, gb.Estimate] = {}

    def sent(found: dict[str, gb.Estimate], kind: str, sample: int | None) -> int:
        job = replace(every, source=f"SELECT * FROM {texts} WHERE kind = '{kind}'")
        return requests(lambda: found.update({kind: estimate_batch(spark, job, config, sample=sample)}))

    for name in (kind.__name__ for kind in kinds):
        assert sent(counted, name, None) == 0
        assert sent(sampled, name, SAMPLE) == SAMPLE
        assert counted[name].rows == sampled[name].rows == ROWS
        assert counted[name].requests == sampled[name].requests

    left = sum(estimate.requests for estimate in counted.values()) - len(kinds) * SAMPLE
    assert requests(lambda: gb.run_batch(spark, every, config)) == left
    took = spark.table(output).dropDuplicates(["request_hash"]).groupBy("kind").agg(
        F.expr("count(*) AS requests"), F.sum("input_tokens").alias("given"),
        F.sum("output_tokens").alias("answered"), F.sum("cost_usd").cast("double").alias("cost"),
    )  # fmt: skip
    for row in took.collect():
        known, guess = counted[row.kind], sampled[row.kind]
        assert row.requests == known.requests
        assert known.input_tokens.middle == pytest.approx(row.given, rel=0.02)
        assert guess.cost_usd is not None
        figures = {
            "input": (guess.input_tokens, row.given),
            "output": (guess.output_tokens, row.answered),
            "cost": (guess.cost_usd, row.cost),
        }
        for name, (interval, truth) in figures.items():
            print(
                f"{row.kind}, {name}: {interval.low:,.4f} to {interval.high:,.4f}, middle "
                f"{interval.middle / truth - 1:+.1%}"
            )
            assert interval.low * 0.999 <= truth <= interval.high * 1.001, (row.kind, name)
        assert guess.cost_usd.middle == pytest.approx(row.cost, rel=0.10)
        assert guess.seconds is not None
        assert guess.seconds > 0


def test_without_a_sample_the_output_is_an_assumption(
    spark: SparkSession, job: gb.BatchJob, config: gb.GatewayConfig
) -> None:
    found = estimate_batch(spark, job, config)
    assert "Each answer has 200 tokens (an assumption)" in " ".join(found.assumptions)
    assert (found.requests, found.output_tokens.middle, found.seconds) == (12, 12 * 200, None)
    slow = config.model_copy(update={"requests_per_minute": 20})
    limited = replace(job, model_parameters={"max_tokens": 50})
    found = estimate_batch(spark, limited, slow, max_rows=10)
    assert (found.requests, found.output_tokens.middle, found.seconds) == (10, 10 * 50, 30)
    assert estimate_batch(spark, limited, config, output_tokens=7).output_tokens.middle == 12 * 7


def test_a_sample_of_all_is_what_it_cost_and_is_not_estimated_again(
    spark: SparkSession, job: gb.BatchJob, config: gb.GatewayConfig
) -> None:
    found = estimate_batch(spark, job, config, sample=100)
    cost = spark.table(job.output).agg(F.sum("cost_usd").cast("double").alias("cost")).first()
    assert cost is not None
    assert found.sampled == found.requests == 12
    assert found.cost_usd is not None
    assert found.cost_usd.low == found.cost_usd.high == pytest.approx(cost.cost)
    done = estimate_batch(spark, job, config, sample=5)
    assert (done.rows, done.requests, done.sampled) == (0, 0, 0)
    assert done.cost_usd is not None
    assert done.cost_usd.middle == 0


def test_a_cap_refuses_with_the_figures(
    spark: SparkSession, job: gb.BatchJob, config: gb.GatewayConfig, requests: Count
) -> None:
    job = replace(job, output=f"{SCHEMA}.never_made")

    def refused() -> None:
        with pytest.raises(ConfigError, match=r"about 0\.\d+ USD, above 0\.0010: 12 requests with \d+ input and 2,400"):
            check_cost(spark, job, config, 0.001)
        with pytest.raises(ConfigError, match=r"the job's cost is not known\. No price of my-own is known"):
            check_cost(spark, replace(job, endpoint="my-own"), config, 0.001)

    assert requests(refused) == 0
    check_cost(spark, job, config, 10)
