"""The optimizer rules change no rows, and never have more sent: random queries, with the rules on and off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from _pytest.mark.structures import ParameterSet
from pyspark.sql import SparkSession

from tests.conformance import echo
from tests.conformance.echo import echo_server_running
from tests.spark.conftest import Register
from tests.spark.random_queries import TABLES, Queries
from tests.waiting import wait_until_idle

RULES = "spark.gateway_batch.optimizer"
A_PART, PARTS, NIGHTLY_PARTS = 25, 2, 80
TRIES = 4


@pytest.fixture
def asked(spark: SparkSession, register: Register, request: pytest.FixtureRequest) -> Iterator[None]:
    """With a cache whose answers all tasks share, or with none, as on hosts that share nothing."""
    with echo_server_running() as server:
        register(endpoints={"hash": {"base_url": server.replace("/v1", "/hash")}}, cache=request.param)
        for name, sql in TABLES.items():
            spark.sql(sql).createOrReplaceTempView(name)
        yield
    spark.conf.unset(RULES)


def rows(spark: SparkSession, query: str) -> list[str]:
    return sorted(map(repr, spark.sql(query).collect()))


def compare(spark: SparkSession, seed: int) -> tuple[int, int]:
    """Requests of a query with the rules and without.

    More with them is looked at again: where one side of a join turns out to be empty, Spark stops the other, and how
    far that has come by then is chance, with the rules and without.
    """
    query = Queries(seed, lambda prompt: f"ai_query('hash', {prompt})").query()
    by_spark = Queries(seed, lambda prompt: f"md5({prompt})").query()
    expected = rows(spark, by_spark)

    def sent(rules: str) -> int:
        spark.conf.set(RULES, rules)
        echo.BODIES.clear()
        assert rows(spark, query) == expected, f"seed {seed}, rules {rules}: {query}"
        wait_until_idle(spark)
        return len(echo.BODIES)

    with_rules, without = [sent("strict")], [sent("false")]
    while min(with_rules) > max(without) and len(with_rules) < TRIES:
        with_rules.append(sent("strict"))
        without.append(sent("false"))
    assert min(with_rules) <= max(without), f"seed {seed}, {with_rules} for {without}: {query}"
    return with_rules[0], without[0]


def part_of(part: int) -> ParameterSet:
    """A part with answers that are shared, or are not, in turns."""
    marks = [pytest.mark.nightly] if part >= PARTS else []
    return pytest.param("query" if part % 2 == 0 else "off", part, marks=marks, id=f"{part}")


@pytest.mark.parametrize(("asked", "part"), [part_of(part) for part in range(NIGHTLY_PARTS)], indirect=["asked"])
def test_random_queries_give_the_same_rows_and_send_no_more(spark: SparkSession, asked: None, part: int) -> None:
    sent = [compare(spark, seed) for seed in range(part * A_PART, (part + 1) * A_PART)]
    assert sum(on for on, _ in sent) < sum(off for _, off in sent)
