"""`gb.functions` in a classic session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.columns import CASES, REFUSALS, ColumnCase, Refusal, check_column, check_refusal
from tests.spark.conftest import MODEL, TOKEN, Register


@pytest.fixture(scope="module")
def _echoing(
    spark: SparkSession, shared_server: RunningGateway, echo_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    config = gb.GatewayConfig.from_env(
        host=shared_server.host,
        token=TOKEN,
        endpoints={"echo": {"base_url": echo_server}},
        spool_dir=str(tmp_path_factory.mktemp("spool")),
        usage_table="columns.usage",
        flush_interval=0,
    )
    with gb.register_ai_query(spark, config):
        yield


@pytest.mark.usefixtures("_echoing", "server")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_column(case: ColumnCase, spark: SparkSession, echoed: list[Any]) -> None:
    check_column(case, spark, gb.functions, echoed)


@pytest.mark.usefixtures("_echoing")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusal(case: Refusal, spark: SparkSession, server: RunningGateway, echoed: list[Any]) -> None:
    check_refusal(case, spark, gb.functions)
    assert server.stats()["requests"] == len(echoed) == 0


def test_a_column_belongs_to_the_newest_registration_or_the_one_named(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    older = register("ask_older", request_tags={"of": "older"})
    newer = register("ask_newer", request_tags={"of": "newer"}, usage_table="newer.usage", spool_dir=None)
    row = spark.range(1).select(F.lit("hello").alias("t"))
    row.select(gb.functions.ai_query(MODEL, "t")).collect()
    row.select(gb.functions.ai_gen("t")).collect()
    row.select(gb.functions.ai_query(MODEL, "t", registration="ask_older")).collect()
    assert (older.usage.flush(), newer.usage.flush()) == (1, 2)
    with pytest.raises(gb.ConfigError, match="ai_gen is not of the registration ask_older"):
        gb.functions.ai_gen("t", registration="ask_older")
    with pytest.raises(gb.ConfigError, match="'ask_nobody' is not registered"):
        gb.functions.ai_query(MODEL, "t", registration="ask_nobody")
    newer.close()
    row.select(gb.functions.ai_query(MODEL, "t")).collect()
    assert older.usage.flush() == 1


def test_tags_of_a_column_reach_the_table(spark: SparkSession, gateway: gb.Gateway) -> None:
    rows = spark.range(2).select(F.lit("hello").alias("t"), F.col("id").cast("string").alias("n"))
    rows.select(gb.functions.ai_query(MODEL, "t", requestTags={"team": "search", "n": F.col("n")})).collect()
    rows.limit(1).select(gb.functions.ai_query(MODEL, "t", requestTags=F.create_map(F.lit("n"), "n"))).collect()
    rows.limit(1).select(gb.functions.ai_query(MODEL, "t", requestTags={})).collect()
    gateway.usage.flush()
    found = [row.request_tags for row in spark.table(gateway.usage.table).select("request_tags").collect()]
    expected = [{}, {"n": "0"}, {"team": "search", "n": "0"}, {"team": "search", "n": "1"}]
    assert sorted(found, key=lambda tags: sorted(tags.items())) == sorted(
        expected, key=lambda tags: sorted(tags.items())
    )


def test_a_record_for_a_custom_model(spark: SparkSession, gateway: gb.Gateway) -> None:
    call = gb.functions.ai_query("churn", F.struct(F.lit(3).alias("age")), failOnError=False)
    (row,) = spark.range(1).select(call.alias("a")).collect()
    assert "a" in row
    assert gateway.usage.flush() == 1
    assert spark.table(gateway.usage.table).first().api_type == "mlflow/v1/invocations"  # type: ignore[union-attr]
