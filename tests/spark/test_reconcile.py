"""The usage table against a gateway's own record, in every form that this may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.spark.reconcile import books
from tests.spark.conftest import MODEL

COLUMNS = ["request_id", "endpoint_name", "status_code", "input_tokens", "output_tokens", "total_tokens"]


@pytest.fixture
def usage(spark: SparkSession, gateway: gb.Gateway) -> DataFrame:
    """Six requests, recorded."""
    call = f"ai_query('{MODEL}', concat('Lake ', id), requestTags => map('team', 'lakes'))"
    spark.range(6).selectExpr(call).collect()
    gateway.usage.flush()
    return spark.table(gateway.usage.table)


def exported(usage: DataFrame) -> DataFrame:
    """What a gateway would export of these requests, tags as JSON."""
    return usage.select(*COLUMNS, F.to_json("request_tags").alias("request_tags"))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_an_exported_file_agrees(
    spark: SparkSession, gateway: gb.Gateway, usage: DataFrame, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"export{ending}"
    writer = exported(usage).coalesce(1).write.option("header", True).option("escape", '"')
    writer.format({".jsonl": "json"}.get(ending, ending[1:])).save(str(path))
    found = books(spark, gateway.usage.table, str(path))
    assert (found.agree, found.matched, dict(found.counts)) == (True, 6, {})


def test_each_request_that_is_not_matched_is_of_one_class(
    spark: SparkSession, gateway: gb.Gateway, usage: DataFrame
) -> None:
    ids = [row.request_id for row in usage.select("request_id").orderBy("request_id").collect()]
    theirs = exported(usage).where(F.col("request_id") != ids[0])
    wrong = F.when(F.col("request_id") == ids[1], 999).otherwise(F.col("total_tokens"))
    theirs = theirs.withColumn("total_tokens", wrong)
    unheard_of = theirs.where(F.col("request_id") == ids[2]).withColumn("request_id", F.lit("of-another-client"))
    found = books(spark, gateway.usage.table, theirs.union(unheard_of))
    assert (found.agree, found.matched) == (False, 4)
    assert found.counts == {"extra": 1, "differing": 1, "missing": 1}
    examples = {example["class"]: example for example in found.examples}
    assert examples["differing"]["differences"] == ["total_tokens"]
    assert examples["differing"]["theirs"]["total_tokens"] == 999
    assert examples["extra"]["ours"]["request_id"] == ids[0]
    assert examples["missing"]["event_id"] == "request_id:of-another-client"


def test_a_condition_leaves_other_clients_requests_out(
    spark: SparkSession, gateway: gb.Gateway, usage: DataFrame, server: RunningGateway
) -> None:
    theirs = exported(usage)
    others = theirs.limit(1).withColumn("request_id", F.lit("another")).withColumn("endpoint_name", F.lit("other"))
    ledger = theirs.union(others)
    assert not books(spark, gateway.usage.table, ledger).agree
    assert books(spark, gateway.usage.table, ledger, where=f"endpoint_name = '{MODEL}'").agree


def test_an_unknown_outcome_that_the_gateway_knows_is_resolved(
    spark: SparkSession, gateway: gb.Gateway, usage: DataFrame
) -> None:
    first = usage.selectExpr("min(request_id)").collect()[0][0]
    ours = usage.withColumn("status_code", F.when(F.col("request_id") != first, F.col("status_code")))
    table = gateway.usage.table.replace(".usage", ".unknowns")
    ours.write.format("delta").saveAsTable(table)
    theirs = usage.select("*", F.col("client_metadata.event_id").alias("client_request_id"))
    found = books(spark, table, theirs)
    assert (found.agree, found.matched, dict(found.counts)) == (True, 5, {"unknown_resolved": 1})


def test_a_ledger_without_ids_is_refused(spark: SparkSession, gateway: gb.Gateway, usage: DataFrame) -> None:
    with pytest.raises(ConfigError, match="neither a column request_id nor client_request_id"):
        books(spark, gateway.usage.table, usage.select("endpoint_name"))
    with pytest.raises(ConfigError, match="nowhere is neither a file nor a table"):
        books(spark, gateway.usage.table, "nowhere")
