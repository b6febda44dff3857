"""On hosts that share no answers, the optimizer rules never have more sent than Spark's own plan."""

from __future__ import annotations

from collections import Counter

from pyspark.sql import SparkSession

from tests.cluster.conftest import Register
from tests.conformance import echo
from tests.conformance.echo import echo_server_running
from tests.spark.random_queries import TABLES, Queries
from tests.waiting import wait_until_idle

RULES = "spark.gateway_batch.optimizer"
SEEDS = range(2_000, 2_040)
TRIES = 4


def requests(spark: SparkSession, query: str, rules: str) -> int:
    spark.conf.set(RULES, rules)
    echo.BODIES.clear()
    spark.sql(query).collect()
    wait_until_idle(spark)
    return len(echo.BODIES)


def test_rules_never_send_more(register: Register) -> None:
    """The fewest of a few tries: which host gets which rows is chance, and decides what it has asked before."""
    sent: Counter[str] = Counter()
    with echo_server_running() as server:
        spark = register(endpoints={"hash": {"base_url": server.replace("/v1", "/hash")}}).spark
        for name, sql in TABLES.items():
            spark.sql(sql).createOrReplaceTempView(name)
        for seed in SEEDS:
            query = Queries(seed, lambda prompt: f"ai_query('hash', {prompt})").query()
            without = requests(spark, query, "false")
            tries = [requests(spark, query, "strict")]
            while tries[-1] > without and len(tries) < TRIES:
                tries.append(requests(spark, query, "strict"))
                without = max(without, requests(spark, query, "false"))
            assert min(tries) <= without, f"seed {seed}: {query}"
            sent.update({"with": tries[0], "without": without})
        spark.conf.unset(RULES)
    assert sent["with"] < sent["without"]
