"""Other clients' requests in the usage table: each once, ours never twice, and the table still reconciles."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from chispa.schema_comparer import assert_schema_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.errors import ConfigError
from gateway_batch.spark.gateway import Usage
from gateway_batch.spark.ledger.gateway_record import read_ledger
from gateway_batch.spark.ledger.reconcile import Reconciliation, count_classes
from gateway_batch.spark.ledger.usage_import import days_to_read, others_of
from gateway_batch.spark.ledger.usage_table import create_usage_table, record_type
from tests.spark.conftest import MODEL, TOKEN, Register

AGENT = "codex_cli_rs/0.50.0"
EXACT_TIMES = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}
TABLE = "imports.usage"
OURS = 6
OTHERS = 5
"""Three answered, one refused, one cut off."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that other clients use too."""
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path_factory.mktemp("busy") / "gateway.sqlite")) as server:
        server.configure(faults=[{"match": "cut off", "disconnect": True}])
        yield server


@pytest.fixture(scope="module")
def traffic(spark: SparkSession, busy: RunningGateway) -> Path:
    """The gateway's record of our requests, which are still in a spool, and of the others'."""
    config = gb.GatewayConfig.from_env(
        host=busy.host,
        token=TOKEN,
        usage_table=TABLE,
        max_attempts=1,
        flush_interval=0,
        spool_dir=str(busy.ledger.with_name("spool")),
    )
    gateway = gb.register_ai_query(spark, config)
    spark.range(0, OURS, 1, 2).selectExpr(f"ai_query('{MODEL}', concat('Lake ', id))").collect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)
        gateway.close()
    ask_as_an_agent(busy, "one", "two", "three", "cut off")
    ask_as_an_agent(busy, "four", model="main.default.nobody")
    return busy.ledger


@pytest.fixture(scope="module")
def tables(spark: SparkSession, traffic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of two usage tables to copy: one is `empty`, one has our requests `flushed`."""
    folder = tmp_path_factory.mktemp("tables")
    create_usage_table(spark, TABLE)
    made = Path(spark.sql(f"DESCRIBE DETAIL {TABLE}").collect()[0].location.removeprefix("file:"))
    shutil.copytree(made, folder / "empty")
    shutil.copytree(traffic.with_name("spool"), folder / "spool")
    assert Usage(spark, TABLE, folder / "spool").flush() == OURS
    shutil.copytree(made, folder / "flushed")
    return folder


@pytest.fixture
def gateway(register: Register, spark: SparkSession, tables: Path, tmp_path: Path) -> gb.Gateway:
    """A registration whose ledger has our requests."""
    return register(usage_table=copied(spark, tables / "flushed", tmp_path))


@pytest.fixture
def unflushed(register: Register, spark: SparkSession, tables: Path, traffic: Path, tmp_path: Path) -> gb.Gateway:
    """A registration whose spool has our requests, and its table none."""
    shutil.copytree(traffic.with_name("spool"), tmp_path / "spool")
    return register(usage_table=copied(spark, tables / "empty", tmp_path))


def copied(spark: SparkSession, table: Path, to: Path) -> str:
    """The name of the usage table that our requests are for, which has a copy of a Delta table's files from now on."""
    shutil.copytree(table, to / "usage")
    spark.sql(f"DROP TABLE IF EXISTS {TABLE}")
    spark.sql(f"CREATE TABLE {TABLE} USING DELTA LOCATION '{to / 'usage'}'")
    return TABLE


def ask_as_an_agent(server: RunningGateway, *texts: str, model: str = MODEL) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "user-agent": AGENT, "x-client-request-id": "the agent's only id"}
    headers["databricks-ai-gateway-request-tags"] = json.dumps({"team": "agents"})
    with httpx.Client(base_url=f"{server.host}/ai-gateway/mlflow/v1", headers=headers, trust_env=False) as client:
        for text in texts:
            with contextlib.suppress(httpx.RemoteProtocolError):
                client.post("/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})


def agree(
    spark: SparkSession, gateway: gb.Gateway, ledger: Path | DataFrame, where: str | None = None
) -> Reconciliation:
    found = count_classes(spark, gateway.usage.table, ledger, where=where)
    assert found.reconciles, found
    return found


def test_others_requests_are_imported_once_as_the_gateway_has_them_and_the_ledger_reconciles(
    spark: SparkSession, unflushed: gb.Gateway, traffic: Path
) -> None:
    assert unflushed.usage.import_ledger(traffic) == OTHERS
    assert unflushed.usage.import_ledger(traffic) == 0
    table = spark.table(unflushed.usage.table)
    assert_schema_equality(table.schema, record_type(spark), ignore_nullable=True, ignore_metadata=True)
    metadata = [row.client_metadata for row in table.select("client_metadata").collect()]
    assert sorted(each.outcome for each in metadata) == ["answered"] * OURS + ["imported"] * OTHERS
    assert len({each.event_id for each in metadata}) == OURS + OTHERS
    assert agree(spark, unflushed, traffic).matched == OURS + OTHERS
    assert agree(spark, unflushed, traffic, where=f"user_agent <> '{AGENT}'").matched == OURS
    check_imported_rows(table.where("client_metadata.outcome = 'imported'"), traffic)


def check_imported_rows(rows: DataFrame, traffic: Path) -> None:
    """That each is the gateway's own row."""
    with closing(sqlite3.connect(traffic)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM usage WHERE user_agent = ?", (AGENT,)).fetchall()
    theirs = {row["request_id"]: dict(row) for row in found}
    failures = []
    for row in rows.withColumn("at", F.expr("unix_micros(event_time)")).collect():
        ours, own = row.asDict(recursive=True), theirs[row.request_id]
        metadata = ours.pop("client_metadata")
        del own["client_request_id"]
        assert row.at == micros(own["event_time"])
        for name, value in own.items():
            if name not in ("event_time", "endpoint_metadata", "routing_information"):
                assert json_as(ours[name], value) == value, name
        assert metadata["event_id"] == f"imported:{row.request_id}:{row.invocation_id}"
        assert metadata["token_source"] == (None if row.total_tokens is None else "gateway")
        if row.status_code == 200:
            (destination,), (attempt,) = row.endpoint_metadata.destinations, row.routing_information.attempts
            assert (destination.traffic_percentage, attempt.status_code) == (100, 200)
            assert attempt.start_time == row.event_time
        failures.append((row.status_code, metadata["error_kind"]))
    assert sorted(failures, key=str) == [(200, None), (200, None), (200, None), (404, "not_found"), (None, None)]


def micros(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def json_as(ours: Any, theirs: Any) -> Any:
    """A value of ours as the gateway's file has it: structs and maps are JSON text."""
    return json.dumps(ours, separators=(",", ":")) if isinstance(ours, dict) and theirs is not None else ours


def test_a_lost_record_of_ours_stays_missing(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    table = gateway.usage.table
    lost = spark.table(table).selectExpr("min(request_id)").collect()[0][0]
    spark.sql(f"DELETE FROM {table} WHERE request_id = '{lost}'")
    assert gateway.usage.import_ledger(traffic) == OTHERS
    found = count_classes(spark, table, traffic)
    assert (found.reconciles, dict(found.counts)) == (False, {"missing": 1})


def test_a_record_that_is_still_in_the_spool_is_not_doubled(
    spark: SparkSession, unflushed: gb.Gateway, traffic: Path
) -> None:
    sealed = unflushed.usage.spool_dir / "sealed"
    hidden = sealed.rename(unflushed.usage.spool_dir.parent / "elsewhere")
    sealed.mkdir()  # as on a host whose spool another process drains
    assert unflushed.usage.import_ledger(traffic) == OTHERS
    sealed.rmdir()
    hidden.rename(sealed)
    assert unflushed.usage.flush() == OURS
    assert agree(spark, unflushed, traffic).matched == OURS + OTHERS


def test_behind_a_proxy_the_tag_of_event_ids_tells_ours(
    spark: SparkSession, register: Register, tables: Path, traffic: Path, tmp_path: Path
) -> None:
    gateway = register(usage_table=copied(spark, tables / "empty", tmp_path), event_id_tag="event")
    tags = F.when(F.col("user_agent") != AGENT, F.expr("map('event', client_request_id)")).otherwise(
        F.col("request_tags")
    )
    ledger = read_ledger(spark, traffic).withColumn("request_tags", tags).withColumn("user_agent", F.lit("a proxy"))
    ledger = ledger.drop("client_request_id")
    assert gateway.usage.import_ledger(ledger) == OTHERS
    assert [row["class"] for row in gateway.usage.reconcile(ledger).collect()] == ["missing"] * OURS


def test_exported_files_are_imported_too(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path, tmp_path: Path
) -> None:
    """All forms are read as the same rows; the one that needs most parsing is imported."""
    rows = read_ledger(spark, traffic).drop("client_request_id")
    nested = [field.name for field in rows.schema if field.dataType.typeName() in ("map", "struct")]
    as_text = rows.withColumns({name: F.to_json(name, EXACT_TIMES) for name in nested})
    for ending, kind, frame in (("csv", "csv", as_text), ("jsonl", "json", rows), ("parquet", "parquet", rows)):
        path = tmp_path / f"export.{ending}"
        options = {**EXACT_TIMES, "header": "true", "escape": '"'}
        frame.coalesce(1).write.format(kind).options(**options).save(str(path))
        assert known(read_ledger(spark, path)) == known(rows), ending
    assert gateway.usage.import_ledger(tmp_path / "export.csv") == OTHERS
    assert gateway.usage.import_ledger(traffic) == 0, "whatever form the record has, the key is the same"
    tags = spark.table(gateway.usage.table).where(f"user_agent = '{AGENT}'").select("request_tags").collect()
    assert [row.request_tags for row in tags] == [{"team": "agents"}] * OTHERS
    assert agree(spark, gateway, traffic).matched == OURS + OTHERS


def known(rows: DataFrame) -> list[Any]:
    """Rows without NULLs and empty maps: a column or field that has nothing else may be lost in a file."""
    found = rows.orderBy("request_id", "invocation_id").collect()
    return [stated(row.asDict(recursive=True)) for row in found]


def stated(value: Any) -> Any:
    if isinstance(value, dict):
        members = {name: stated(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member not in (None, {})}
    return [stated(member) for member in value] if isinstance(value, list) else value


def test_a_condition_chooses_and_what_is_new_is_added_a_row_for_each_invocation(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    """A gateway's fallbacks are several invocations of one request; an export may have a row twice."""
    assert gateway.usage.import_ledger(traffic, where="status_code = 200") == 3
    everything = read_ledger(spark, traffic)
    first = everything.where(f"user_agent = '{AGENT}' AND status_code = 200").orderBy("request_id").limit(1)
    second = first.withColumn("invocation_id", F.lit("fallback")).withColumn("status_code", F.lit(500))
    assert gateway.usage.import_ledger(everything.union(second).union(second)) == OTHERS - 3 + 1
    assert agree(spark, gateway, everything.union(second)).matched == OURS + OTHERS + 1
    assert agree(spark, gateway, everything.drop("invocation_id")).matched == OURS + OTHERS


def test_two_imports_at_once_add_each_row_once(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        added = sorted(threads.map(lambda _: gateway.usage.import_ledger(traffic), range(3)))
    assert added == [0, 0, OTHERS]
    assert spark.table(gateway.usage.table).count() == OURS + OTHERS


def test_of_a_table_only_the_days_that_have_something_new_are_read(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    """However old they are: a row that is late is not lost."""
    one = read_ledger(spark, traffic).where(f"user_agent = '{AGENT}' AND status_code = 200").limit(1)
    name = f"{gateway.usage.table}_of_theirs"

    def arrive(times: dict[str, str | None]) -> None:
        of_ids = F.create_map(*(F.lit(each) for pair in times.items() for each in pair))
        rows = one.select("*", F.explode(of_ids).alias("id", "time")).withColumns(
            {"invocation_id": F.col("id"), "event_time": F.col("time").cast("timestamp")}
        )
        rows.drop("id", "time").write.format("delta").mode("append").saveAsTable(name)

    def days() -> list[str]:
        table = spark.table(gateway.usage.table)
        return sorted(str(day) for day in days_to_read(others_of(spark.table(name), table), table))

    arrive({"1": "2026-01-01 10:00", "2": "2026-03-01 10:00", "3": "2026-03-02 23:59:59.999999", "4": None})
    assert gateway.usage.import_ledger(name) == 4
    assert days() == ["None"], "rows without a time are read again"
    arrive({"late": "2026-01-01 00:00", "new": "2026-03-03 00:00"})
    assert days() == ["2026-01-01", "2026-03-03", "None"]
    assert gateway.usage.import_ledger(name) == 2
    assert gateway.usage.import_ledger(name) == 0
    assert gateway.usage.import_ledger(traffic) == OTHERS, "another gateway's record"
    found = spark.table(gateway.usage.table).where("client_metadata.outcome = 'imported'")
    assert found.count() == found.select("client_metadata.event_id").distinct().count() == 6 + OTHERS


def test_a_source_without_the_key_is_refused(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    ledger = read_ledger(spark, traffic)
    with pytest.raises(ConfigError, match="it lacks invocation_id, user_agent: an import goes by"):
        gateway.usage.import_ledger(ledger.drop("invocation_id", "user_agent"))
    with pytest.raises(ConfigError, match="nowhere is neither a file nor a table"):
        gateway.usage.import_ledger("nowhere")
    with pytest.raises(ConfigError, match=r"no/such.csv is neither a file nor a table"):
        gateway.usage.import_ledger("no/such.csv")
