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
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.spark.conftest import MODEL, Register

TAG = "gateway_batch_event_id"
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


@pytest.fixture
def tagged(register: Register, spark: SparkSession) -> gb.Gateway:
    """Six requests that carried their event ids in a tag, recorded."""
    gateway = register(event_id_tag=TAG)
    call = f"ai_query('{MODEL}', concat('Lake ', id), requestTags => map('team', 'lakes'))"
    spark.range(6).selectExpr(call).collect()
    gateway.usage.flush()
    return gateway


def mirror(spark: SparkSession, gateway: gb.Gateway, rows: DataFrame | None = None) -> str:
    """A table with the columns of `system.ai_gateway.usage` and no other, such as the gateway's own would be."""
    table = gateway.usage.table.replace(".usage", ".mirror")
    (spark.table(gateway.usage.table) if rows is None else rows).select(*MIRRORED_COLUMNS).write.format(
        "delta"
    ).saveAsTable(table)
    return table


def test_a_table_of_the_mirrored_columns_alone_agrees(spark: SparkSession, tagged: gb.Gateway) -> None:
    table = mirror(spark, tagged)
    assert len(spark.table(table).columns) == 38
    for tag in (None, TAG):
        found = books(spark, tagged.usage.table, table, event_id_tag=tag)
        assert (found.agree, found.matched, dict(found.counts)) == (True, 6, {}), tag
    assert tagged.usage.reconcile(table).count() == 0


def test_a_tag_finds_what_the_servers_request_id_does_not(spark: SparkSession, tagged: gb.Gateway) -> None:
    theirs = spark.table(mirror(spark, tagged)).withColumn("request_id", F.concat(F.lit("other-"), "request_id"))
    by_request = books(spark, tagged.usage.table, theirs)
    assert (by_request.matched, dict(by_request.counts)) == (0, {"missing": 6, "extra": 6})
    by_tag = books(spark, tagged.usage.table, theirs, event_id_tag=TAG)
    assert (by_tag.matched, dict(by_tag.counts)) == (0, {"differing": 6})
    assert {tuple(example["differences"]) for example in by_tag.examples} == {("request_id",)}
    without = theirs.drop("request_id")
    assert books(spark, tagged.usage.table, without, event_id_tag=TAG).agree
    assert tagged.usage.reconcile(without).count() == 0
    assert tagged.usage.reconcile(without, event_id_tag="another").groupBy("class").count().count() == 2


@pytest.mark.parametrize("tag", [None, TAG])
def test_every_class_is_told_in_a_table_of_the_mirrored_columns_alone(
    spark: SparkSession, tagged: gb.Gateway, tag: str | None
) -> None:
    usage = spark.table(tagged.usage.table)
    ids = [row.request_id for row in usage.select("request_id").orderBy("request_id").collect()]
    ours = tagged.usage.table.replace(".usage", ".ours")
    usage.union(usage.where(F.col("request_id") == ids[0])).write.format("delta").saveAsTable(ours)
    unheard_of = usage.where(F.col("request_id") == ids[1]).withColumns(
        {"request_id": F.lit("theirs"), "request_tags": F.expr(f"map('{TAG}', 'theirs')")}
    )
    twice = usage.where(F.col("request_id") == ids[2])
    wrong = F.when(F.col("request_id") == ids[3], 999).otherwise(F.col("total_tokens"))
    rows = usage.where(F.col("request_id") != ids[4]).union(unheard_of).union(twice).withColumn("total_tokens", wrong)
    found = books(spark, ours, mirror(spark, tagged, rows), event_id_tag=tag, examples=9)
    assert (found.agree, found.matched) == (False, 2)
    assert dict(found.counts) == {"missing": 2, "duplicated": 1, "differing": 1, "extra": 1}
    by_class = {example["class"]: example for example in found.examples}
    assert by_class["duplicated"]["ours"]["request_id"] == ids[0]
    assert by_class["differing"]["differences"] == ["total_tokens"]
    assert by_class["extra"]["ours"]["request_id"] == ids[4]
    theirs = {example["theirs"]["request_id"] for example in found.examples if example["class"] == "missing"}
    assert theirs == {"theirs", ids[2]}


def test_a_ledger_of_event_ids_alone_agrees(spark: SparkSession, gateway: gb.Gateway, usage: DataFrame) -> None:
    ids = usage.select(F.col("client_metadata.event_id").alias("client_request_id"))
    found = books(spark, gateway.usage.table, ids)
    assert (found.agree, found.matched, dict(found.counts)) == (True, 6, {})
    assert books(spark, gateway.usage.table, ids.limit(5)).counts == {"extra": 1}


def test_estimated_tokens_are_not_compared(spark: SparkSession, gateway: gb.Gateway, usage: DataFrame) -> None:
    table = gateway.usage.table.replace(".usage", ".estimated")
    estimated = F.col("client_metadata").withField("token_source", F.lit("estimated"))
    usage.withColumn("client_metadata", estimated).write.format("delta").saveAsTable(table)
    theirs = exported(usage).withColumns({name: F.lit(None).cast("long") for name in COLUMNS[3:]})
    assert books(spark, table, theirs).agree
    assert books(spark, gateway.usage.table, theirs).counts == {"differing": 6}


def test_a_ledger_without_ids_is_refused(spark: SparkSession, gateway: gb.Gateway, usage: DataFrame) -> None:
    with pytest.raises(ConfigError, match="neither a column request_id nor client_request_id"):
        books(spark, gateway.usage.table, usage.select("endpoint_name"))
    with pytest.raises(ConfigError, match="nowhere is neither a file nor a table"):
        books(spark, gateway.usage.table, "nowhere")
