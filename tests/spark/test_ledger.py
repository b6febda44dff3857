"""Every request has one row, whatever dies."""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from chispa.schema_comparer import assert_schema_equality
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.analytics.maintenance import maintain
from gateway_batch.spark.ledger import drain
from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.spark.ledger.driver_delta_writer import DriverDeltaWriter
from gateway_batch.spark.ledger.usage_table import record_type, usage_ddl
from gateway_batch.usage.record import MIRRORED_COLUMNS
from gateway_batch.usage.spool import SpoolWriter
from tests.conformance.echo import HEADERS
from tests.crashes import dies_before
from tests.spark.conftest import MODEL, SHARED_LEDGER, Register, own_classes, own_rows


@pytest.fixture
def gateway(register_shared: Register) -> gb.Gateway:
    return register_shared()


QUERY = f"SELECT ai_query('{MODEL}', text_column) FROM my_table"


@pytest.mark.usefixtures("texts")
def test_flush_commits_each_request_once(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> None:
    """Of three at once, and of one after them."""
    spark.sql(QUERY).collect()
    with ThreadPoolExecutor(3) as threads:
        committed = sorted(threads.map(lambda _: gateway.usage.flush(), range(3)))
    assert committed == [0, 0, 40]
    assert gateway.usage.flush() == 0
    events = [row.event_id for row in own_rows(gateway).select("client_metadata.event_id").collect()]
    assert len(events) == len(set(events)) == 40
    assert own_classes(gateway, server) == {}


@pytest.mark.usefixtures("texts")
def test_workers_send_through_httpx_where_it_is_set(
    spark: SparkSession, register_shared: Register, echo_server: str
) -> None:
    HEADERS.clear()
    gateway = register_shared(transport="httpx", endpoints={"echo": {"base_url": echo_server}})
    spark.sql("SELECT ai_query('echo', text_column) FROM my_table").collect()
    assert {headers.get("connection") for headers in HEADERS} == {"keep-alive"}  # pyreqwest leaves it out
    assert gateway.usage.flush() == 40
    sent = {headers["x-client-request-id"] for headers in HEADERS}
    assert {row.invocation_id for row in own_rows(gateway).select("invocation_id").collect()} == sent


def test_the_table_mirrors_the_columns_of_databricks(spark: SparkSession, gateway: gb.Gateway) -> None:
    gateway.usage.flush()
    schema = spark.table(gateway.usage.table).schema
    assert schema.names == [*MIRRORED_COLUMNS, "client_metadata"]
    assert_schema_equality(schema, record_type(spark), ignore_nullable=True, ignore_metadata=True)
    assert all(field.metadata["comment"] for field in schema)


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(
    spark: SparkSession, register_shared: Register
) -> None:
    earlier = usage_ddl().replace("latency_ms BIGINT, ", "", 1).replace(", job_id: STRING", "")
    for name in (", other_usage: MAP<STRING, STRING>", ", task_run_id: STRING", ", notebook_path: STRING"):
        assert name in earlier
        earlier = earlier.replace(name, "")
    earlier = earlier.replace("STRUCT<priority: INT, ", "STRUCT<")
    schema = SHARED_LEDGER.partition(".")[0]
    gateway = register_shared(usage_table=f"{schema}.earlier")
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    spark.sql(f"CREATE TABLE {schema}.earlier ({earlier}) USING DELTA")
    spark.sql(f"INSERT INTO {schema}.earlier (endpoint_name) VALUES ('earlier')")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert gateway.usage.flush() == 1
    table = spark.table(gateway.usage.table)
    assert_schema_equality(table.schema, record_type(spark), ignore_nullable=True, ignore_metadata=True)
    found = {row.endpoint_name: row.latency_ms for row in table.collect()}
    assert set(found) == {"earlier", MODEL}
    assert found["earlier"] is None
    assert found[MODEL] is not None


def test_a_row_says_who_what_and_where(spark: SparkSession, register_shared: Register, server: RunningGateway) -> None:
    gateway = register_shared(request_tags={"team": "search"}, workspace_id="123", requester="ana@example.com")
    spark.sql(f"SELECT ai_query('{MODEL}', 'Summarize: a lake is deep.')").collect()
    gateway.usage.flush()
    (row,) = own_rows(gateway).collect()
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
    found = own_rows(gateway).selectExpr("status_code", "client_metadata.error_kind AS kind").collect()
    assert sorted((row.status_code or 0, row.kind or "") for row in found) == [
        (0, "disconnect"),
        *[(200, "")] * 5,
        (400, "bad_request"),
        (429, "rate_limit"),
        *[(500, "server")] * 2,
    ]
    assert set(own_classes(gateway, server)) == {"unknown_resolved"}


def test_every_kind_of_answer_is_as_the_gateway_has_it(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    gateway = register_shared(max_attempts=1)
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
    spark.sql(f"SELECT {', '.join(calls)}").collect()
    assert gateway.usage.flush() == len(calls)
    assert own_classes(gateway, server) == {}


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("steps", [(3, 5, 8), pytest.param(tuple(range(1, 9)), marks=pytest.mark.nightly)])
def test_a_drain_that_is_killed_around_its_commit_is_finished_by_the_next(
    spark: SparkSession, gateway: gb.Gateway, steps: tuple[int, ...]
) -> None:
    """Steps 1 to 4 are before and after the data file is put into the usage table, and the commit; 5 to 8 the tasks'.

    `make faults` kills it at all its steps.
    """
    gateway.usage.flush()
    tasks = gateway.usage.table.replace(".usage", ".ai_query_tasks")
    for killed, step in enumerate(steps, 1):
        spark.sql(f"{QUERY} WHERE id < 10").collect()
        assert dies_before(step, [], gateway.usage.flush, ("copyFromLocalFile", "commit"))
        assert gateway.usage.flush() == (10 if step < 4 else 0)
        assert own_rows(gateway).count() == 10 * killed
        summaries = spark.table(tasks).where(f"requester = '{gateway.config.requester}'").collect()
        assert sum(row.rows for row in summaries) == 10 * killed
        assert len(summaries) == len({row.summary_id for row in summaries})
        assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []
    spark.sql(f"{QUERY} WHERE id < 10").collect()
    assert not dies_before(9, [], gateway.usage.flush, ("copyFromLocalFile", "commit")), "there are more steps"


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
    assert own_rows(gateway).count() == 41
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
    assert [row.client_metadata.outcome for row in own_rows(gateway).collect()] == ["answered"]


def test_a_segment_of_a_newer_version_is_left_alone(
    spark: SparkSession, gateway: gb.Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    (segment,) = (gateway.usage.spool_dir / "sealed").iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    body = lines[0][9:-1].replace(b'"format":2', b'"format":3')
    segment.write_bytes(b"".join((b"%08x %b\n" % (zlib.crc32(body), body), *lines[1:])))
    for _ in range(2):
        assert gateway.usage.flush() == 0
    assert caplog.text.count("was written by a newer gateway_batch (format 3)") == 1
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
    assert own_rows(gateway).count() == 41
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


@pytest.mark.usefixtures("texts")
def test_drains_without_a_lock_do_not_commit_a_segment_twice(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on hosts that share a mount without locks: each has read and written down what the other commits."""
    monkeypatch.setattr(drain, "_in_this_process", contextlib.nullcontext())
    monkeypatch.setattr(drain, "locked", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(drain, "table_lock", lambda _: contextlib.nullcontext())
    gateway.usage.flush()
    spark.sql(QUERY).collect()
    both_are_ready, append = threading.Barrier(2, timeout=60), DriverDeltaWriter._commit_file
    met = threading.local()

    def append_at_once(*arguments: Any) -> None:
        if not getattr(met, "before", False):
            met.before = True
            both_are_ready.wait()
        append(*arguments)

    monkeypatch.setattr(DriverDeltaWriter, "_commit_file", append_at_once)
    drains = [UsageDrain(spark, gateway.usage.spool_dir, gateway.usage.table) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        committed = sorted(threads.map(lambda drain: drain.flush(), drains))
    assert committed == [0, 40]
    assert own_rows(gateway).count() == 40
    assert list((gateway.usage.spool_dir / "sealed").iterdir()) == []


def test_records_reach_the_table_without_a_call_while_a_query_keeps_every_core_busy(
    spark: SparkSession, register_shared: Register, server: RunningGateway
) -> None:
    rows = 3_000  # over a minute at this latency: the machine may be slow, and the query must not end first
    gateway = register_shared(flush_interval=0.2, max_concurrency=16)
    spark.range(1).selectExpr(f"ai_query('{MODEL}', 'to start the workers')").collect()
    server.configure(latency_ms=400)
    frame = spark.range(0, rows, 1, spark.sparkContext.defaultParallelism)
    query = threading.Thread(target=frame.selectExpr(f"ai_query('{MODEL}', 'Lake ' || id)").collect)
    query.start()
    while query.is_alive() and gateway.usage.committed < 2:
        time.sleep(0.05)
    assert query.is_alive(), "no record reached the table before the query ended"
    server.configure(latency_ms=None)
    query.join()
    until = time.monotonic() + 180
    while gateway.usage.committed < 1 + rows and time.monotonic() < until:
        time.sleep(0.05)
    assert own_rows(gateway).count() == 1 + rows


def test_tables_of_the_users_own_making_are_written_by_spark(spark: SparkSession, register: Register) -> None:
    gateway = register()
    gateway.usage.flush()
    tasks = gateway.usage.table.replace(".usage", ".ai_query_tasks")
    spark.sql(f"ALTER TABLE {gateway.usage.table} ADD CONSTRAINT seen CHECK (status_code < 600)")
    spark.sql(f"ALTER TABLE {tasks} ADD CONSTRAINT some CHECK (rows >= 0)")
    for word in ("one", "two"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}', requestTags => map('team', 'search'))").collect()
        assert gateway.usage.flush() == 1
    assert gateway.usage.flush() == 0
    rows = spark.table(gateway.usage.table).select("request_tags", "client_metadata.outcome").collect()
    assert [(row.request_tags, row.outcome) for row in rows] == [({"team": "search"}, "answered")] * 2
    assert [row.rows for row in spark.table(tasks).collect()] == [1, 1]


@pytest.mark.timeout(400)
def test_small_files_are_checkpointed_joined_and_deleted_when_old_under_a_name_with_a_catalog(
    spark: SparkSession, register: Register
) -> None:
    gateway = register(usage_table="spark_catalog.kept.usage_by_catalog")
    gateway.usage.flush()
    table, tasks = "kept.usage_by_catalog", "kept.ai_query_tasks"
    spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.checkpointInterval' = '3')")
    for word in ("one", "two", "three"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
        assert gateway.usage.flush() == 1
    folder = Path(spark.sql(f"DESCRIBE DETAIL {table}").collect()[0].location.removeprefix("file:"))
    assert list((folder / "_delta_log").glob("*.checkpoint*.parquet"))
    assert spark.table(table).where("event_time > current_date() - 1").count() == 3

    old = "current_timestamp() - INTERVAL 40 DAYS"
    spark.sql(f"INSERT INTO {table} (event_time) VALUES ({old})")
    spark.sql(f"INSERT INTO {tasks} (started_at) VALUES ({old})")
    done = gateway.usage.maintain()
    assert (done.deleted, done.files_before, done.files_after) == (0, 4, 1)
    assert spark.sql(f"DESCRIBE DETAIL {tasks}").collect()[0].numFiles == 1
    assert (spark.table(table).count(), spark.table(tasks).count()) == (4, 4)
    assert maintain(spark, table, keep_days=30).deleted == 1
    assert (spark.table(table).count(), spark.table(tasks).count()) == (3, 3)
    spark.sql(f"SELECT ai_query('{MODEL}', 'four')").collect()
    assert gateway.usage.flush() == 1
    assert spark.table(table).count() == 4


def test_closing_flushes(spark: SparkSession, gateway: gb.Gateway) -> None:
    with gateway:
        spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert own_rows(gateway).count() == 1


def test_a_clients_records_reach_the_table_with_a_sessions_flush(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = partialmethod(SpoolWriter.__init__, rotate_after_s=math.inf)
    monkeypatch.setattr(SpoolWriter, "__init__", never)  # so that no segment is sealed for its age
    server.configure(faults=[{"match": "one", "status": 500, "times_per_prompt": 1}])
    spark.sql(f"SELECT ai_query('{MODEL}', 'zero')").collect()
    with gb.Client(gateway.config) as client:
        client.query_many(MODEL, ["one", "two"])
        assert gateway.usage.flush() == 1, "what a living client has not sealed is left alone"
    assert gateway.usage.flush() == 3
    sources = own_rows(gateway).select("invocation_metadata.source").collect()
    assert sorted(row.source for row in sources) == ["AI_QUERY", *["EXTERNAL_CLIENT"] * 3]
    assert own_classes(gateway, server) == {}
