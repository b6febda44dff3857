"""`gb.functions` on Spark Connect: what it gives in a classic session."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.errors import PySparkException
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
from tests.connect.conftest import MODEL, Register


@pytest.fixture(scope="module")
def columns(spark: SparkSession, registered: gb.Gateway) -> AnsweredColumns:
    return answered_columns(spark, gb.functions)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_column(case: ColumnCase, columns: AnsweredColumns) -> None:
    check_column(case, columns)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refusal(case: Refusal, spark: SparkSession, server: RunningGateway, echoed: list[Any]) -> None:
    check_refusal(case, spark, gb.functions)
    assert server.stats()["requests"] == len(echoed) == 0


def test_a_struct_with_two_fields_of_a_name_is_refused(spark: SparkSession, registered: gb.Gateway) -> None:
    twice = F.struct(F.lit(1).alias("a"), F.lit(2).alias("a"))
    call = gb.functions.ai_query("echo", twice, api="mlflow/v1/invocations", registration=registered.name)
    with pytest.raises(PySparkException, match="two fields named a, of which JSON would keep one"):
        spark.range(1).select(call).collect()
    variant = "to_variant_object(named_struct('a', 1, 'a', 2))"
    with pytest.raises(PySparkException, match="VARIANT_DUPLICATE_KEY"):
        spark.sql(f"SELECT ai_query('echo', {variant}, api => 'mlflow/v1/invocations')").collect()


def test_a_column_belongs_to_the_active_session(spark: SparkSession, register: Register, address: str) -> None:
    gateway = register(request_tags={"of": "ours"})
    other = SparkSession.builder.remote(address).create()
    try:
        register("ask_other", session=other, request_tags={"of": "other"})
        spark.range(1).select(gb.functions.ai_query(MODEL, F.lit("x"))).collect()
        spark.range(1).select(gb.functions.ai_query(MODEL, F.lit("x"), registration="ask_other")).collect()
    finally:
        other.stop()
    with pytest.raises(gb.ConfigError, match="not registered, or is closed"):
        gb.functions.ai_query(MODEL, F.lit("x"), registration="ask_other")
    record = F.struct(F.lit(3).alias("age"))
    scoring = gb.functions.ai_query("churn", record, failOnError=False, api="mlflow/v1/invocations")
    spark.range(1).select(scoring.alias("a")).collect()
    assert gateway.usage.flush() == 3
    rows = spark.table(gateway.usage.table).select("request_tags", "api_type").collect()
    chat = "mlflow/v1/chat/completions"
    assert sorted((row.request_tags["of"], row.api_type) for row in rows) == [
        ("other", chat),
        ("ours", chat),
        ("ours", "mlflow/v1/invocations"),
    ]
