"""Every request has one row, whatever dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark import usage_drain
from gateway_batch.spark.delta_append import UsageTable
from gateway_batch.spark.maintenance import maintain
from gateway_batch.spark.reconcile import books_agree
from gateway_batch.spark.usage_drain import UsageDrain
from gateway_batch.spark.usage_table import record_type, usage_ddl
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.crashes import dies_before
from tests.spark.conftest import MODEL, TOKEN, Register

QUERY = f"SELECT ai_query('{MODEL}', text_column) FROM my_table"


def classes(gateway: gb.Gateway, ledger: Path) -> dict[str, int]:
    rows = gateway.usage.reconcile(ledger).groupBy("class").count().collect()
    return {row["class"]: row["count"] for row in rows}


def ours(classes_: dict[str, int]) -> dict[str, int]:
    """Without what other tests sent to the shared gateway."""
    return {name: count for name, count in classes_.items() if name != "missing"}


@pytest.mark.usefixtures("texts")
def test_flush_commits_each_request_once(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> None:
    spark.sql(QUERY).collect()
    assert gateway.usage.flush() == 40
    assert gateway.usage.flush() == 0
    table = spark.table(gateway.usage.table)
    assert table.select("client_metadata.event_id").distinct().count() == table.count() == 40
    assert ours(classes(gateway, server.ledger)) == {}


def test_the_table_mirrors_the_columns_of_databricks(spark: SparkSession, gateway: gb.Gateway) -> None:
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    gateway.usage.flush()
    schema = spark.table(gateway.usage.table).schema
    assert schema.names == [*MIRRORED_COLUMNS, "client_metadata"]
    assert schema.simpleString() == record_type(spark).simpleString()
    assert all(field.metadata["comment"] for field in schema)


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(spark: SparkSession, gateway: gb.Gateway) -> None:
    earlier = usage_ddl().replace("latency_ms BIGINT, ", "", 1).replace(", job_id: STRING", "")
    for name in (", other_usage: MAP<STRING, STRING>", ", task_run_id: STRING", ", notebook_path: STRING"):
        assert name in earlier
        earlier = earlier.replace(name, "")
    earlier = earlier.replace("STRUCT<priority: INT, ", "STRUCT<")
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {gateway.usage.table.partition('.')[0]}")
    spark.sql(f"CREATE TABLE {gateway.usage.table} ({earlier}) USING DELTA")
    spark.sql(f"INSERT INTO {gateway.usage.table} (endpoint_name) VALUES ('earlier')")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert gateway.usage.flush() == 1
    table = spark.table(gateway.usage.table)
    assert table.schema.simpleString() == record_type(spark).simpleString()
    assert table.where("latency_ms IS NOT NULL").count() == 1
    assert table.where("endpoint_name = 'earlier'").count() == 1


def test_a_row_says_who_what_and_where(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    gateway = register(request_tags={"team": "search"}, workspace_id="123", requester="ana@example.com")
    spark.sql(f"SELECT ai_query('{MODEL}', 'Summarize: a lake is deep.')").collect()
    gateway.usage.flush()
    row = spark.table(gateway.usage.table).first()
    assert row is not None
    found = {name: row[name] for name in ("endpoint_name", "api_type", "status_code", "workspace_id", "requester")}
    assert found == {
        "endpoint_name": MODEL,
        "api_type": "mlflow/v1/chat/completions",
        "status_code": 200,
        "workspace_id": "123",
        "requester": "ana@example.com",
    }
    assert row.url == f"{server.host}/ai-gateway/mlflow/v1/chat/completions"
    assert row.request_tags == {"team": "search"}
    assert row.invocation_metadata.source == "AI_QUERY"
    assert row.input_tokens > 0
    assert row.total_tokens == row.input_tokens + row.output_tokens
    assert row.invocation_id == row.client_metadata.event_id != row.request_id
    assert row.client_metadata.outcome == "answered"
    assert row.client_metadata.application_id == spark.sparkContext.applicationId
    assert row.client_metadata.query_execution_id is not None


@pytest.mark.usefixtures("texts")
def test_failures_and_retries_have_rows_too(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> None:
    server.configure(
        faults=[
            {"match": "Lake 1 ", "status": 400},
            {"match": "Lake 2 ", "status": 500, "times_per_prompt": 2},
            {"match": "Lake 3 ", "status": 429, "times_per_prompt": 1, "retry_after": 0.2},
            {"match": "Lake 4 ", "disconnect": True, "times_per_prompt": 1},
        ]
    )
    query = f"SELECT ai_query('{MODEL}', text_column, failOnError => false) AS a FROM my_table WHERE id < 6"
    failed = [row.a.errorMessage for row in spark.sql(query).collect() if row.a.errorMessage]
    assert len(failed) == 1
    assert gateway.usage.flush() == 6 + 2 + 1 + 1
    found = spark.table(gateway.usage.table).selectExpr("status_code", "client_metadata.error_kind AS kind").collect()
    assert sorted((row.status_code or 0, row.kind or "") for row in found) == [
        (0, "disconnect"),
        *[(200, "")] * 5,
        (400, "bad_request"),
        (429, "rate_limit"),
        *[(500, "server")] * 2,
    ]
    assert set(ours(classes(gateway, server.ledger))) == {"unknown_resolved"}


def test_every_kind_of_answer_agrees_with_the_gateways_books(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(max_attempts=1)
    server.configure(faults=[{"match": "denied", "policy": True}, {"match": "garbled", "not_json": True}])
    calls = (
        f"ai_query('{MODEL}', 'to be denied', failOnError => false)",
        f"ai_query('{MODEL}', 'to be garbled', failOnError => false)",
        f"ai_query('{MODEL}', 'Summarize: a long and quiet lake', modelParameters => named_struct('max_tokens', 1))",
        f"ai_query('{MODEL}', 'forty-two', returnType => 'INT', failOnError => false)",
        "ai_query('databricks-gpt-oss-20b', 'Summarize: a lake')",
        "ai_query('databricks-gte-large-en', 'a lake')",
        "ai_query('databricks-gte-large-en', 'to be denied', failOnError => false)",
        "ai_query('main.default.nobody', 'x', failOnError => false)",
    )
    for call in calls:
        spark.sql(f"SELECT {call} AS answer").collect()
    assert gateway.usage.flush() == len(calls)
    assert ours(classes(gateway, server.ledger)) == {}


@pytest.mark.usefixtures("texts")
def test_two_flushes_at_once_commit_each_request_once(spark: SparkSession, gateway: gb.Gateway) -> None:
    spark.sql(QUERY).collect()
    committed: list[int] = []
    threads = [threading.Thread(target=lambda: committed.append(gateway.usage.flush())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(committed) == [0, 0, 40]
    assert spark.table(gateway.usage.table).count() == 40


@pytest.mark.usefixtures("texts")
def test_a_drain_that_is_killed_around_its_commit_is_finished_by_the_next(
    spark: SparkSession, gateway: gb.Gateway, tmp_path: Path
) -> None:
    """Before and after the data file is put into the table, and the commit; of the usage table, then of the tasks'.

    `make faults` kills it at all its steps.
    """
    gateway.usage.flush()
    tasks = gateway.usage.table.replace(".usage", ".ai_query_tasks")
    killed = 0
    while True:
        spark.sql(f"{QUERY} WHERE id < 10").collect()
        if not dies_before(killed + 1, [], gateway.usage.flush, ("copyFromLocalFile", "commit")):
            break
        killed += 1
        assert gateway.usage.flush() == (10 if killed < 4 else 0)
        assert spark.table(gateway.usage.table).count() == 10 * killed
        assert spark.table(tasks).selectExpr("sum(rows)").collect()[0][0] == 10 * killed
    assert killed == 8
    assert spark.table(gateway.usage.table).count() == 90


@pytest.mark.usefixtures("texts")
def test_a_segment_that_comes_again_is_counted_once(spark: SparkSession, gateway: gb.Gateway, tmp_path: Path) -> None:
    """As from a host that died after it had copied one and before it had deleted its own."""
    spark.sql(QUERY).collect()
    sealed, kept = gateway.usage.spool_dir / "sealed", tmp_path / "kept"
    shutil.copytree(sealed, kept)
    delayed = min(kept.iterdir()).name
    (sealed / delayed).unlink()
    rows = 40 - int(delayed.split(".")[-3])
    assert gateway.usage.flush() == rows
    spark.sql(f"SELECT ai_query('{MODEL}', 'another')").collect()
    for segment in kept.iterdir():
        shutil.copy(segment, sealed)
    assert gateway.usage.flush() == 40 - rows + 1
    assert spark.table(gateway.usage.table).count() == 41
    assert list(sealed.iterdir()) == []


def test_a_copy_that_is_still_on_its_way_is_waited_for(spark: SparkSession, gateway: gb.Gateway) -> None:
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    (segment,) = (gateway.usage.spool_dir / "sealed").iterdir()
    whole, copy = segment.read_bytes(), segment.with_suffix(".copy")
    segment.unlink()
    copy.write_bytes(whole[:-100])
    assert gateway.usage.flush() == 0
    copy.write_bytes(whole)
    assert gateway.usage.flush() == 1
    assert spark.table(gateway.usage.table).first().client_metadata.outcome == "answered"  # type: ignore[union-attr]


def test_a_segment_of_a_newer_version_is_left_alone(
    spark: SparkSession, gateway: gb.Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    (segment,) = (gateway.usage.spool_dir / "sealed").iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    body = lines[0][9:-1].replace(b'"format":1', b'"format":2')
    segment.write_bytes(b"".join((b"%08x %b\n" % (zlib.crc32(body), body), *lines[1:])))
    for _ in range(2):
        assert gateway.usage.flush() == 0
    assert caplog.text.count("was written by a newer gateway_batch (format 2)") == 1
    segment.write_bytes(b"".join(lines))
    assert gateway.usage.flush() == 1


@pytest.mark.usefixtures("texts")
def test_a_commit_is_known_by_its_rows_where_its_manifest_is_gone(
    spark: SparkSession, gateway: gb.Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    spark.sql(QUERY).collect()
    assert dies_before(4, [], gateway.usage.flush, ("copyFromLocalFile", "commit"))
    drain = gateway.usage.spool_dir / "drain"
    for manifest in (drain / gateway.usage.table.lower()).iterdir():
        manifest.rename(drain / "00-lost")
    (drain / gateway.usage.table.lower() / "0000000001-00000001.json").write_bytes(b"")  # of a drain that died early
    spark.sql(f"SELECT ai_query('{MODEL}', 'another')").collect()
    assert gateway.usage.flush() == 1
    assert "is gone: " in caplog.text
    assert spark.table(gateway.usage.table).count() == 41
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


@pytest.mark.usefixtures("texts")
def test_another_table_takes_up_where_the_one_before_ended(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain died after its commit; the next is told to write another table."""
    spark.sql(QUERY).collect()
    drain = UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            drain.flush()
    other = UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table + "_other")
    assert other.flush() == 0
    spark.sql(f"SELECT ai_query('{MODEL}', 'another')").collect()
    assert other.flush() == 1
    assert spark.table(gateway.usage.table).count() == 40
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


@pytest.mark.usefixtures("texts")
def test_drains_without_a_lock_do_not_commit_a_segment_twice(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on hosts that share a mount without locks: each has read and written down what the other commits."""
    monkeypatch.setattr(usage_drain, "_in_this_process", contextlib.nullcontext())
    monkeypatch.setattr(usage_drain, "locked", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(usage_drain, "table_lock", lambda _: contextlib.nullcontext())
    gateway.usage.flush()
    spark.sql(QUERY).collect()
    both_are_ready, append = threading.Barrier(2, timeout=60), UsageTable._commit_file
    met = threading.local()

    def append_at_once(*arguments: Any) -> None:
        if not getattr(met, "before", False):
            met.before = True
            both_are_ready.wait()
        append(*arguments)

    monkeypatch.setattr(UsageTable, "_commit_file", append_at_once)
    drains = [UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        committed = sorted(threads.map(lambda drain: drain.flush(), drains))
    assert committed == [0, 40]
    assert spark.table(gateway.usage.table).count() == 40
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


@pytest.mark.usefixtures("texts")
def test_records_reach_the_table_without_a_call(spark: SparkSession, register: Register) -> None:
    gateway = register(flush_interval=0.5)
    spark.sql(QUERY).collect()
    deadline = time.monotonic() + 60
    while gateway.usage.committed < 40 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert spark.table(gateway.usage.table).count() == 40


def test_records_reach_the_table_while_a_query_keeps_every_core_busy(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(flush_interval=0.5, max_concurrency=16)
    spark.range(1).selectExpr(f"ai_query('{MODEL}', 'to start the workers')").collect()
    server.configure(latency_ms=200)
    rows = spark.range(0, 1600, 1, spark.sparkContext.defaultParallelism).selectExpr(
        f"ai_query('{MODEL}', 'Lake ' || id)"
    )
    query = threading.Thread(target=rows.collect)
    query.start()
    while query.is_alive() and gateway.usage.committed < 100:
        time.sleep(0.1)
    assert query.is_alive(), "no record reached the table before the query ended"
    server.configure(latency_ms=None)
    query.join()


def test_a_table_of_the_users_own_making_is_written_by_spark(spark: SparkSession, register: Register) -> None:
    gateway = register()
    gateway.usage.flush()
    spark.sql(f"ALTER TABLE {gateway.usage.table} ADD CONSTRAINT seen CHECK (status_code < 600)")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello', requestTags => map('team', 'search'))").collect()
    assert gateway.usage.flush() == 1
    assert gateway.usage.flush() == 0
    row = spark.table(gateway.usage.table).first()
    assert row is not None
    assert row.request_tags == {"team": "search"}
    assert row.client_metadata.outcome == "answered"


def test_a_table_may_be_named_with_its_catalog(spark: SparkSession, register: Register, tmp_path: Path) -> None:
    schema = register().usage.table.rpartition(".")[0]
    gateway = register(usage_table=f"spark_catalog.{schema}.usage_by_catalog", spool_dir=str(tmp_path / "spool"))
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert gateway.usage.flush() == 1
    assert spark.table(f"{schema}.usage_by_catalog").count() == 1
    assert spark.table(f"spark_catalog.{schema}.ai_query_tasks").count() == 1
    assert gateway.usage.maintain().files_after == 1


@pytest.mark.usefixtures("texts")
def test_many_flushes_are_checkpointed(spark: SparkSession, gateway: gb.Gateway) -> None:
    gateway.usage.flush()
    spark.sql(f"ALTER TABLE {gateway.usage.table} SET TBLPROPERTIES ('delta.checkpointInterval' = '3')")
    for _ in range(4):
        spark.sql(f"{QUERY} WHERE id < 2").collect()
        assert gateway.usage.flush() == 2
    location = spark.sql(f"DESCRIBE DETAIL {gateway.usage.table}").first()
    assert location is not None
    folder = Path(location.location.removeprefix("file:"))
    assert list((folder / "_delta_log").glob("*.checkpoint*.parquet"))
    assert spark.table(gateway.usage.table).where("event_time > current_date() - 1").count() == 8


@pytest.mark.timeout(400)
def test_maintenance_joins_files_deletes_what_is_old_and_loses_nothing_else(
    spark: SparkSession, gateway: gb.Gateway
) -> None:
    for word in ("one", "two", "three"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
        gateway.usage.flush()
    table = gateway.usage.table
    done = maintain(spark, table)
    assert (done.deleted, done.files_before, done.files_after) == (0, 3, 1)
    tasks = table.replace(".usage", ".ai_query_tasks")
    assert spark.sql(f"DESCRIBE DETAIL {tasks}").collect()[0].numFiles == 1
    spark.sql(f"UPDATE {tasks} SET started_at = started_at - INTERVAL 40 DAYS").collect()
    first = spark.table(table).selectExpr("min(event_time)").collect()[0][0]
    spark.sql(f"UPDATE {table} SET event_time = event_time - INTERVAL 40 DAYS WHERE event_time = '{first}'").collect()
    assert maintain(spark, table, keep_days=30).deleted == 1
    assert (spark.table(table).count(), spark.table(tasks).count()) == (2, 0)
    spark.sql(f"SELECT ai_query('{MODEL}', 'four')").collect()
    assert gateway.usage.flush() == 1
    assert spark.table(table).count() == 3


def test_closing_flushes(spark: SparkSession, gateway: gb.Gateway) -> None:
    with gateway:
        spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert spark.table(gateway.usage.table).count() == 1


def test_a_clients_records_reach_the_table_with_a_sessions_flush(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway
) -> None:
    server.configure(faults=[{"match": "one", "status": 500, "times_per_prompt": 1}])
    spark.sql(f"SELECT ai_query('{MODEL}', 'zero')").collect()
    with gb.Client(gateway.config) as client:
        client.query_many(MODEL, ["one", "two"])
        assert gateway.usage.flush() == 1, "what a living client has not sealed is left alone"
    assert gateway.usage.flush() == 3
    sources = spark.table(gateway.usage.table).groupBy("invocation_metadata.source").count().collect()
    assert {row.source: row["count"] for row in sources} == {"AI_QUERY": 1, "EXTERNAL_CLIENT": 3}
    assert ours(classes(gateway, server.ledger)) == {}


def test_a_damaged_outcome_is_reported_and_its_request_is_of_unknown_outcome(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    for word in ("one", "two"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
    first = min((gateway.usage.spool_dir / "sealed").glob("*.log"))
    first.write_bytes(first.read_bytes().replace(b" O {", b" O [", 1))
    gateway.usage.flush()
    outcomes = spark.table(gateway.usage.table).select("client_metadata.outcome").collect()
    assert sorted(row.outcome for row in outcomes) == ["answered", "unknown"]
    assert ours(classes(gateway, server.ledger)) == {"unknown_resolved": 1}
    assert f"1 damaged lines in {first.name}: 1 outcomes are lost" in caplog.text
    assert [path.name for path in (gateway.usage.spool_dir / "damaged").iterdir()] == [first.name]


def test_a_killed_worker_loses_no_record(spark: SparkSession, register: Register, tmp_path: Path) -> None:
    with running(Settings(port=0, token=TOKEN, latency_ms=200, ledger=tmp_path / "ledger.sqlite")) as server:
        gateway = register(host=server.host, max_concurrency=32)
        frame = spark.range(0, 600, 1, 4).selectExpr("id", f"ai_query('{MODEL}', concat('Lake ', id)) AS a")
        killed: list[int] = []
        killer = threading.Thread(target=lambda: killed.extend(_kill_a_busy_worker(gateway.usage.spool_dir)))
        killer.start()
        rows = frame.collect()
        killer.join()
        assert len(killed) == 1
        assert [row.id for row in rows] == list(range(600))
        assert all(row.a for row in rows)
        gateway.usage.flush()
        found = classes(gateway, server.ledger)
        assert books_agree(found)
        unknown = found.get("unknown_resolved", 0) + found.get("never_sent", 0)
        assert 0 < unknown <= 32
        assert spark.table(gateway.usage.table).count() >= 600 + unknown


def _kill_a_busy_worker(spool_dir: Path) -> list[int]:
    """Kills the first worker that has answers; its writer's name has the process id."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for segment in (spool_dir / "active").glob("*/[0-9]*.log"):
            try:
                busy = segment.read_bytes().count(b" O {") > 20
            except FileNotFoundError:
                continue
            if busy:
                pid = int(segment.parent.name.split("-")[-2])
                os.kill(pid, signal.SIGKILL)
                return [pid]
        time.sleep(0.02)
    return []


STOPS_AT_ONCE = f"""
import sys, gateway_batch as gb
host, warehouse, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
spark = gb.local_session(warehouse=warehouse, master="local[2]", settings={{"spark.log.level": "ERROR"}})
gateway = gb.register_ai_query(spark, gb.GatewayConfig.from_env(host=host, token="{TOKEN}", flush_interval=0))
if rows:
    spark.range(rows).selectExpr("ai_query('{MODEL}', 'Lake ' || id)").collect()
    spark.stop()
else:
    print("flushed", gateway.usage.flush(), "in the table", spark.table(gateway.usage.table).count())
    print("classes", gateway.usage.reconcile(sys.argv[4]).count())
"""


def test_a_session_that_stops_right_after_an_action_loses_no_record(tmp_path: Path) -> None:
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite")) as server:
        run_script(STOPS_AT_ONCE, server.host, str(tmp_path / "warehouse"), "50")
        arguments = (server.host, str(tmp_path / "warehouse"), "0", str(server.ledger))
        assert run_script(STOPS_AT_ONCE, *arguments).split("\n")[:2] == ["flushed 50 in the table 50", "classes 0"]


def run_script(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
