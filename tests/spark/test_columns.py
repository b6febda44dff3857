"""`gb.functions` in a classic session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.columns import (
    CASES,
    REFUSALS,
    AnsweredColumns,
    ColumnCase,
    Refusal,
    answered_columns,
    check_column,
    check_refusal,
)
from tests.conformance.together import answered_together
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
    gateway = gb.register_ai_query(spark, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)  # nobody reads the table
        yield
        gateway.close()


@pytest.fixture(scope="module")
def columns(spark: SparkSession, _echoing: None) -> AnsweredColumns:
    return answered_columns(spark, gb.functions)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_column(case: ColumnCase, columns: AnsweredColumns) -> None:
    check_column(case, columns)


@pytest.mark.usefixtures("_echoing")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusal(case: Refusal, spark: SparkSession, server: RunningGateway, echoed: list[Any]) -> None:
    check_refusal(case, spark, gb.functions)
    assert server.stats()["requests"] == len(echoed) == 0


def test_a_column_belongs_to_the_newest_registration_or_the_one_named(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    older = register("ask_older", request_tags={"of": "older"})
    newer = register("ask_newer", request_tags={"of": "newer"}, spool_dir=None)
    row = spark.range(0, 1, 1, 1).select(F.lit("hello").alias("t"))
    answered_together(
        {
            "the newest": row.select(gb.functions.ai_query(MODEL, "t")),
            "the newest's task": row.select(gb.functions.ai_gen(F.lit("write"))),
            "the one named": row.select(gb.functions.ai_query(MODEL, "t", registration="ask_older")),
        }
    )
    assert (older.usage.flush(), newer.usage.flush()) == (1, 2)
    with pytest.raises(gb.ConfigError, match="ai_gen is not of the registration ask_older"):
        gb.functions.ai_gen("t", registration="ask_older")
    with pytest.raises(gb.ConfigError, match="'ask_nobody' is not registered"):
        gb.functions.ai_query(MODEL, "t", registration="ask_nobody")
    newer.close()
    answered_together(
        {
            "the older": row.select(gb.functions.ai_query(MODEL, "t")),
            "its task": row.select(gb.functions.ai_gen(F.lit("write"))),
            "its task in SQL": spark.sql("SELECT ai_gen('write more')"),
        }
    )
    assert older.usage.flush() == 3


def test_tags_and_the_api_of_a_column_reach_the_table(spark: SparkSession, gateway: gb.Gateway) -> None:
    functions, n = gb.functions, F.col("id").cast("string")
    one, two = (spark.range(0, rows, 1, 1) for rows in (1, 2))
    answered_together(
        {
            "dict": two.select(functions.ai_query(MODEL, F.lit("x"), requestTags={"team": "search", "n": n})),
            "map": one.select(functions.ai_query(MODEL, F.lit("x"), requestTags=F.create_map(F.lit("n"), n))),
            "none": one.select(functions.ai_query(MODEL, F.lit("x"), requestTags={})),
            "record": one.select(functions.ai_query("churn", F.struct(F.lit(3).alias("age")), failOnError=False)),
        }
    )
    assert gateway.usage.flush() == 5
    rows = spark.table(gateway.usage.table).select("request_tags", "api_type").collect()
    found = sorted((sorted(row.request_tags.items()), row.api_type) for row in rows)
    chat = "mlflow/v1/chat/completions"
    assert found == [
        ([], chat),
        ([], "mlflow/v1/invocations"),
        ([("n", "0")], chat),
        ([("n", "0"), ("team", "search")], chat),
        ([("n", "1"), ("team", "search")], chat),
    ]
