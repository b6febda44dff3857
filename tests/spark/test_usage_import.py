"""Other clients' requests in the usage table: each once, ours never twice, and the books still agree."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.errors import ConfigError
from gateway_batch.spark.gateway_ledger import read_ledger
from gateway_batch.spark.reconcile import Books, books
from gateway_batch.spark.usage_import import days_to_read, others_of
from gateway_batch.spark.usage_table import record_type
from tests.spark.conftest import MODEL, TOKEN, Register

AGENT = "codex_cli_rs/0.50.0"
OURS = 6
OTHERS = 5
"""Three answered, one refused, one cut off."""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway that other clients use too."""
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "gateway.sqlite")) as server:
        server.configure(faults=[{"match": "cut off", "disconnect": True}])
        yield server


@pytest.fixture
def gateway(register: Register, busy: RunningGateway) -> gb.Gateway:
    return register(host=busy.host, max_attempts=1)


@pytest.fixture
def traffic(spark: SparkSession, gateway: gb.Gateway, busy: RunningGateway) -> Path:
    """The gateway's record of our requests, not flushed yet, and of the others'."""
    spark.range(OURS).selectExpr(f"ai_query('{MODEL}', concat('Lake ', id))").collect()
    ask_as_an_agent(busy, "one", "two", "three", "cut off")
    ask_as_an_agent(busy, "four", model="main.default.nobody")
    return busy.ledger


def ask_as_an_agent(server: RunningGateway, *texts: str, model: str = MODEL) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "user-agent": AGENT, "x-client-request-id": "the agent's only id"}
    headers["databricks-ai-gateway-request-tags"] = json.dumps({"team": "agents"})
    with httpx.Client(base_url=f"{server.host}/ai-gateway/mlflow/v1", headers=headers, trust_env=False) as client:
        for text in texts:
            with contextlib.suppress(httpx.RemoteProtocolError):
                client.post("/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})


def agree(spark: SparkSession, gateway: gb.Gateway, ledger: Path | DataFrame, where: str | None = None) -> Books:
    found = books(spark, gateway.usage.table, ledger, where=where)
    assert found.agree, found
    return found


def test_others_requests_are_imported_once_and_the_books_agree(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    assert gateway.usage.import_ledger(traffic) == OTHERS
    assert gateway.usage.import_ledger(traffic) == 0
    table = spark.table(gateway.usage.table)
    by_outcome = {row.outcome: row["count"] for row in table.groupBy("client_metadata.outcome").count().collect()}
    assert by_outcome == {"answered": OURS, "imported": OTHERS}
    assert table.select("client_metadata.event_id").distinct().count() == OURS + OTHERS
    assert table.schema.simpleString() == record_type(spark).simpleString()
    assert agree(spark, gateway, traffic).matched == OURS + OTHERS
    assert agree(spark, gateway, traffic, where=f"user_agent <> '{AGENT}'").matched == OURS


def test_an_imported_row_is_the_gateways_own(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    gateway.usage.import_ledger(traffic)
    with closing(sqlite3.connect(traffic)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM usage WHERE user_agent = ?", (AGENT,)).fetchall()
    theirs = {row["request_id"]: dict(row) for row in found}
    rows = spark.table(gateway.usage.table).where("client_metadata.outcome = 'imported'")
    times = {row.request_id: row.at for row in rows.selectExpr("request_id", "unix_micros(event_time) AS at").collect()}
    failures = []
    for row in rows.collect():
        ours, own = row.asDict(recursive=True), theirs[row.request_id]
        metadata = ours.pop("client_metadata")
        del own["client_request_id"]
        assert times[row.request_id] == micros(own["event_time"])
        for name, value in own.items():
            if name not in ("event_time", "endpoint_metadata", "routing_information"):
                assert json_as(ours[name], value) == value, name
        assert metadata["event_id"] == f"imported:{row.request_id}:{row.invocation_id}"
        assert metadata["token_source"] == (None if row.total_tokens is None else "gateway")
        failures.append((row.status_code, metadata["error_kind"]))
    assert sorted(failures, key=str) == [(200, None), (200, None), (200, None), (404, "not_found"), (None, None)]
    routed = rows.where("status_code = 200").selectExpr(
        "endpoint_metadata.destinations[0].traffic_percentage AS percent",
        "routing_information.attempts[0].status_code AS status",
        "routing_information.attempts[0].start_time = event_time AS same",
    )
    assert [tuple(row) for row in routed.collect()] == [(100, 200, True)] * 3


def micros(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def json_as(ours: Any, theirs: Any) -> Any:
    """A value of ours as the gateway's file has it: structs and maps are JSON text."""
    return json.dumps(ours, separators=(",", ":")) if isinstance(ours, dict) and theirs is not None else ours


def test_a_lost_record_of_ours_stays_missing(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    gateway.usage.flush()
    table = gateway.usage.table
    lost = spark.table(table).selectExpr("min(request_id)").collect()[0][0]
    spark.sql(f"DELETE FROM {table} WHERE request_id = '{lost}'")
    assert gateway.usage.import_ledger(traffic) == OTHERS
    found = books(spark, table, traffic)
    assert (found.agree, dict(found.counts)) == (False, {"missing": 1})


def test_a_record_that_is_still_in_the_spool_is_not_doubled(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    hidden = gateway.usage.spool_dir.parent / "elsewhere"
    (gateway.usage.spool_dir / "sealed").rename(hidden)  # as on a host whose spool another process drains
    (gateway.usage.spool_dir / "sealed").mkdir()
    assert gateway.usage.import_ledger(traffic) == OTHERS
    (gateway.usage.spool_dir / "sealed").rmdir()
    hidden.rename(gateway.usage.spool_dir / "sealed")
    assert gateway.usage.flush() == OURS
    assert agree(spark, gateway, traffic).matched == OURS + OTHERS


def test_behind_a_proxy_the_tag_of_event_ids_tells_ours(
    spark: SparkSession, register: Register, busy: RunningGateway
) -> None:
    gateway = register(host=busy.host, event_id_tag="event")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    gateway.usage.flush()
    spark.sql(f"DELETE FROM {gateway.usage.table}")
    ask_as_an_agent(busy, "one")
    ledger = read_ledger(spark, busy.ledger).drop("client_request_id").withColumn("user_agent", F.lit("a proxy"))
    assert gateway.usage.import_ledger(ledger) == 1
    found = gateway.usage.reconcile(ledger).groupBy("class").count().collect()
    assert [(row["class"], row["count"]) for row in found] == [("missing", 1)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_exported_files_are_imported_too(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"export.{ending}"
    kind = {"jsonl": "json"}.get(ending, ending)
    rows = read_ledger(spark, traffic).drop("client_request_id")
    if ending == "csv":
        nested = [field.name for field in rows.schema if field.dataType.typeName() in ("map", "struct")]
        rows = rows.withColumns({name: F.to_json(name) for name in nested})
    rows.coalesce(1).write.format(kind).option("header", True).option("escape", '"').save(str(path))
    gateway.usage.flush()
    assert gateway.usage.import_ledger(path) == OTHERS
    assert gateway.usage.import_ledger(traffic) == 0, "whatever form the record has, the key is the same"
    tags = spark.table(gateway.usage.table).where(f"user_agent = '{AGENT}'").select("request_tags").collect()
    assert [row.request_tags for row in tags] == [{"team": "agents"}] * OTHERS
    assert agree(spark, gateway, traffic).matched == OURS + OTHERS


def test_a_request_with_several_invocations_has_a_row_of_each(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    """As a gateway's fallbacks have; an export may have a row twice."""
    everything = read_ledger(spark, traffic)
    ours = everything.where(f"user_agent <> '{AGENT}'")
    first = everything.where(f"user_agent = '{AGENT}' AND status_code = 200").orderBy("request_id").limit(1).cache()
    second = first.withColumn("invocation_id", F.lit("fallback")).withColumn("status_code", F.lit(500))
    assert gateway.usage.import_ledger(ours.union(first).union(second).union(second)) == 2
    assert agree(spark, gateway, ours.union(first).union(second)).matched == OURS + 2
    assert agree(spark, gateway, ours.union(first).drop("invocation_id")).matched == OURS + 1


def test_a_condition_chooses_and_what_is_new_is_added(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path, busy: RunningGateway
) -> None:
    assert gateway.usage.import_ledger(traffic, where="status_code = 200") == 3
    ask_as_an_agent(busy, "five")
    assert gateway.usage.import_ledger(traffic) == OTHERS - 3 + 1
    agree(spark, gateway, traffic)


def test_two_imports_at_once_add_each_row_once(spark: SparkSession, gateway: gb.Gateway, traffic: Path) -> None:
    gateway.usage.flush()
    added: list[int] = []
    threads = [threading.Thread(target=lambda: added.append(gateway.usage.import_ledger(traffic))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, OTHERS]
    assert spark.table(gateway.usage.table).count() == OURS + OTHERS


def test_of_a_table_only_the_days_that_have_something_new_are_read(
    spark: SparkSession, gateway: gb.Gateway, traffic: Path
) -> None:
    """However old they are: a row that is late is not lost."""
    everything = read_ledger(spark, traffic).where(f"user_agent = '{AGENT}' AND status_code = 200").limit(1).cache()
    name = gateway.usage.table.replace(".usage", ".theirs")

    def arrive(invocation_id: str, when: str | None) -> None:
        time = F.lit(when).cast("timestamp")
        row = everything.withColumns({"invocation_id": F.lit(invocation_id), "event_time": time})
        row.write.format("delta").mode("append").saveAsTable(name)

    def days() -> list[str]:
        table = spark.table(gateway.usage.table)
        return sorted(str(day) for day in days_to_read(others_of(spark.table(name), table), table))

    for number, when in enumerate(("2026-01-01 10:00", "2026-03-01 10:00", "2026-03-02 23:59:59.999999", None)):
        gateway.usage.flush()
        arrive(f"i{number}", when)
    assert gateway.usage.import_ledger(name) == 4
    assert days() == ["None"], "rows without a time are read again"
    arrive("late", "2026-01-01 00:00")
    arrive("new", "2026-03-03 00:00")
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
