"""The usage table against a gateway's own record, in every form that this may have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.spark.ledger.reconcile import count_classes
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.spark.conftest import MODEL, TOKEN

TAG = "gateway_batch_event_id"
COLUMNS = ["request_id", "endpoint_name", "status_code", "input_tokens", "output_tokens", "total_tokens"]
OURS = "ours"


@pytest.fixture(scope="module")
def gateway(
    spark: SparkSession, shared_server: RunningGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gb.Gateway]:
    """A registration with a ledger of six requests that carried their event ids in a tag."""
    config = gb.GatewayConfig.from_env(
        host=shared_server.host,
        token=TOKEN,
        flush_interval=0,
        spool_dir=str(tmp_path_factory.mktemp("reconcile") / "spool"),
        usage_table="reconcile.usage",
        event_id_tag=TAG,
    )
    with gb.register_ai_query(spark, config) as gateway:
        call = f"ai_query('{MODEL}', concat('Lake ', id), requestTags => map('team', 'lakes'))"
        spark.range(0, 6, 1, 2).selectExpr(call).collect()
        assert gateway.usage.flush() == 6
        yield gateway


@pytest.fixture(scope="module")
def usage(spark: SparkSession, gateway: gb.Gateway) -> DataFrame:
    """Its rows, held in memory; the view `ours` has them too, wherever a usage table is compared."""
    table = spark.table(gateway.usage.table)
    return as_ours(spark.createDataFrame(table.orderBy("request_id").collect(), table.schema))


def as_ours(rows: DataFrame, view: str = OURS) -> DataFrame:
    rows.createOrReplaceTempView(view)
    return rows


@pytest.fixture(scope="module")
def ids(usage: DataFrame) -> list[str]:
    """Their request ids."""
    return [row.request_id for row in usage.select("request_id").collect()]


def exported(usage: DataFrame) -> DataFrame:
    """What a gateway would export of these requests, tags as JSON."""
    return usage.select(*COLUMNS, F.to_json("request_tags").alias("request_tags"))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_an_exported_file_agrees(spark: SparkSession, usage: DataFrame, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"export{ending}"
    writer = exported(usage).coalesce(1).write.option("header", True).option("escape", '"')
    writer.format({".jsonl": "json"}.get(ending, ending[1:])).save(str(path))
    found = count_classes(spark, OURS, str(path))
    assert (found.reconciles, found.matched, dict(found.counts)) == (True, 6, {})


def test_each_request_that_is_not_matched_is_of_one_class(
    spark: SparkSession, usage: DataFrame, ids: list[str]
) -> None:
    theirs = exported(usage).where(F.col("request_id") != ids[0])
    wrong = F.when(F.col("request_id") == ids[1], 999).otherwise(F.col("total_tokens"))
    theirs = theirs.withColumn("total_tokens", wrong)
    unheard_of = theirs.where(F.col("request_id") == ids[2]).withColumn("request_id", F.lit("of-another-client"))
    found = count_classes(spark, OURS, theirs.union(unheard_of))
    assert (found.reconciles, found.matched) == (False, 4)
    assert found.counts == {"extra": 1, "differing": 1, "missing": 1}
    examples = {example["class"]: example for example in found.examples}
    assert examples["differing"]["differences"] == ["total_tokens"]
    assert examples["differing"]["theirs"]["total_tokens"] == 999
    assert examples["extra"]["ours"]["request_id"] == ids[0]
    assert examples["missing"]["event_id"] == "request_id:of-another-client"


def test_a_condition_leaves_other_clients_requests_out(spark: SparkSession, usage: DataFrame) -> None:
    theirs = exported(usage)
    others = theirs.limit(1).withColumn("request_id", F.lit("another")).withColumn("endpoint_name", F.lit("other"))
    ledger = theirs.union(others)
    assert not count_classes(spark, OURS, ledger, examples=0).reconciles
    assert count_classes(spark, OURS, ledger, where=f"endpoint_name = '{MODEL}'").reconciles


def test_an_unknown_outcome_that_the_gateway_knows_is_resolved(
    spark: SparkSession, usage: DataFrame, ids: list[str]
) -> None:
    as_ours(
        usage.withColumn("status_code", F.when(F.col("request_id") != ids[0], F.col("status_code"))), "with_unknown"
    )
    theirs = usage.select("*", F.col("client_metadata.event_id").alias("client_request_id"))
    found = count_classes(spark, "with_unknown", theirs)
    assert (found.reconciles, found.matched, dict(found.counts)) == (True, 5, {"unknown_resolved": 1})


def test_a_table_of_the_mirrored_columns_alone_agrees(spark: SparkSession, gateway: gb.Gateway) -> None:
    """Such as the gateway's own would be; table against table, as users have them."""
    table = "reconcile.mirror"
    spark.table(gateway.usage.table).select(*MIRRORED_COLUMNS).write.format("delta").saveAsTable(table)
    assert len(spark.table(table).columns) == 38
    for tag in (None, TAG):
        found = count_classes(spark, gateway.usage.table, table, event_id_tag=tag)
        assert (found.reconciles, found.matched, dict(found.counts)) == (True, 6, {}), tag
    assert gateway.usage.reconcile(table).count() == 0


def test_a_tag_finds_what_the_servers_request_id_does_not(
    spark: SparkSession, gateway: gb.Gateway, usage: DataFrame
) -> None:
    mirror = usage.select(*MIRRORED_COLUMNS)
    theirs = mirror.withColumn("request_id", F.concat(F.lit("other-"), "request_id"))
    by_request = count_classes(spark, OURS, theirs, examples=0)
    assert (by_request.matched, dict(by_request.counts)) == (0, {"missing": 6, "extra": 6})
    by_tag = count_classes(spark, OURS, theirs, event_id_tag=TAG)
    assert (by_tag.matched, dict(by_tag.counts)) == (0, {"differing": 6})
    assert {tuple(example["differences"]) for example in by_tag.examples} == {("request_id",)}
    without = theirs.drop("request_id")
    assert count_classes(spark, OURS, without, event_id_tag=TAG).reconciles
    assert gateway.usage.reconcile(without).count() == 0
    classes = {row["class"] for row in gateway.usage.reconcile(without, event_id_tag="another").collect()}
    assert classes == {"missing", "extra"}


@pytest.mark.parametrize("tag", [None, TAG])
def test_every_class_is_told_in_a_table_of_the_mirrored_columns_alone(
    spark: SparkSession, usage: DataFrame, ids: list[str], tag: str | None
) -> None:
    as_ours(usage.union(usage.where(F.col("request_id") == ids[0])), "one_twice")
    unheard_of = usage.where(F.col("request_id") == ids[1]).withColumns(
        {"request_id": F.lit("theirs"), "request_tags": F.expr(f"map('{TAG}', 'theirs')")}
    )
    twice = usage.where(F.col("request_id") == ids[2])
    wrong = F.when(F.col("request_id") == ids[3], 999).otherwise(F.col("total_tokens"))
    rows = usage.where(F.col("request_id") != ids[4]).union(unheard_of).union(twice).withColumn("total_tokens", wrong)
    found = count_classes(spark, "one_twice", rows.select(*MIRRORED_COLUMNS), event_id_tag=tag, examples=9)
    assert (found.reconciles, found.matched) == (False, 2)
    assert dict(found.counts) == {"missing": 2, "duplicated": 1, "differing": 1, "extra": 1}
    by_class = {example["class"]: example for example in found.examples}
    assert by_class["duplicated"]["ours"]["request_id"] == ids[0]
    assert by_class["differing"]["differences"] == ["total_tokens"]
    assert by_class["extra"]["ours"]["request_id"] == ids[4]
    theirs = {example["theirs"]["request_id"] for example in found.examples if example["class"] == "missing"}
    assert theirs == {"theirs", ids[2]}


def test_a_ledger_of_event_ids_alone_agrees(spark: SparkSession, usage: DataFrame) -> None:
    event_ids = usage.select(F.col("client_metadata.event_id").alias("client_request_id"))
    found = count_classes(spark, OURS, event_ids)
    assert (found.reconciles, found.matched, dict(found.counts)) == (True, 6, {})
    assert count_classes(spark, OURS, event_ids.limit(5), examples=0).counts == {"extra": 1}


def test_estimated_tokens_are_not_compared(spark: SparkSession, usage: DataFrame) -> None:
    estimated = F.col("client_metadata").withField("token_source", F.lit("estimated"))
    as_ours(usage.withColumn("client_metadata", estimated), "estimated")
    theirs = exported(usage).withColumns({name: F.lit(None).cast("long") for name in COLUMNS[3:]})
    assert count_classes(spark, "estimated", theirs).reconciles
    assert count_classes(spark, OURS, theirs, examples=0).counts == {"differing": 6}


@pytest.mark.usefixtures("usage")
def test_a_ledger_without_ids_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="neither a column request_id nor client_request_id"):
        count_classes(spark, OURS, spark.table(OURS).select("endpoint_name"))
    with pytest.raises(ConfigError, match="nowhere is neither a file nor a table"):
        count_classes(spark, OURS, "nowhere")
