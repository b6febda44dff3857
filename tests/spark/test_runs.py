"""The view of runs against figures that plain Python makes of the input and of the gateway's own record."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.errors import ConfigError
from gateway_batch.spark.run_view import create_run_view
from gateway_batch.spark.task_table import TaskTable
from gateway_batch.usage.manifests import Mark
from gateway_batch.usage.spool import sealed_segments
from tests.spark.conftest import MODEL, TOKEN, Register

PRICES = {"input": 2.5, "output": 10.0, "cache_read": 0.25}
ROWS = 40
TEXTS = 8
REFUSED, DENIED, SLOW = "Lake 1 ", "Lake 5 ", "Lake 6 "


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway whose record is of this test alone."""
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "gateway.sqlite")) as own:
        yield own


def lakes(spark: SparkSession, rows: int = ROWS, texts: int = TEXTS) -> list[str]:
    """A view of texts of which each stands there several times; returns them."""
    frame = spark.range(0, rows, 1, 2).selectExpr("id", f"'Lake ' || id % {texts} || ' is deep.' AS text_column")
    frame.createOrReplaceTempView("lakes")
    return [row.text_column for row in frame.collect()]


def run(spark: SparkSession, gateway: gb.Gateway, call: str, source: str = "lakes") -> Row:
    """One query, drained; its row in the view."""
    spark.sql(f"SELECT {call} AS a FROM {source}").collect()
    return last_run(spark, gateway)


def last_run(spark: SparkSession, gateway: gb.Gateway) -> Row:
    gateway.usage.flush()
    view = create_run_view(spark, gateway.usage.table)
    row = spark.table(view).orderBy("started_at", ascending=False).first()
    assert row is not None
    return row


def recorded(server: RunningGateway) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(server.ledger)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM usage")]


def test_a_run_is_counted_in_rows_requests_attempts_tokens_and_dollars(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host, endpoints={MODEL: {"prices": PRICES}}, requester="ana@example.com")
    server.configure(
        faults=[
            {"match": REFUSED, "status": 400},
            {"match": DENIED, "policy": True},
            {"match": SLOW, "status": 500, "times_per_prompt": 1},
        ]
    )
    texts = lakes(spark)
    found = run(spark, gateway, f"ai_query('{MODEL}', text_column, failOnError => false)")

    failed = {"bad_request": sum(REFUSED in text for text in texts), "policy": sum(DENIED in text for text in texts)}
    theirs = recorded(server)
    tokens = {name: sum(row[name] or 0 for row in theirs) for name in ("input_tokens", "output_tokens", "total_tokens")}
    cost = (tokens["input_tokens"] * Decimal("2.5") + tokens["output_tokens"] * 10) / 1_000_000
    assert found.asDict() | {"started_at": None, "ended_at": None, "wall_ms": None} == {
        "application_id": spark.sparkContext.applicationId,
        "query_execution_id": found.query_execution_id,
        "requester": "ana@example.com",
        "job_id": None,
        "job_run_id": None,
        "notebook_path": None,
        "functions": ["ai_query"],
        "endpoints": [MODEL],
        "tasks": 2,
        "incomplete_tasks": 0,
        "rows": ROWS,
        "requests": TEXTS,
        "saved": ROWS - TEXTS,
        "failed_rows": sum(failed.values()),
        "failed_rows_by_kind": failed,
        "attempts": TEXTS + 1,
        "unknown": 0,
        "failed_attempts": 3,
        "failed_attempts_by_kind": {"bad_request": 1, "policy": 1, "server": 1},
        **tokens,
        "cost_usd": cost,
        "saved_usd": (cost * (ROWS - TEXTS) / TEXTS).quantize(Decimal("1e-12")),
        "started_at": None,
        "ended_at": None,
        "wall_ms": None,
    }
    assert len(theirs) == TEXTS + 1
    assert tokens["total_tokens"] > 0
    assert found.wall_ms == (found.ended_at - found.started_at) // timedelta(milliseconds=1) > 0
    assert gateway.saved()[int(found.query_execution_id)] == (found.requests, found.saved)


def test_a_run_says_what_started_it_even_if_it_sent_nothing(
    spark: SparkSession, register: Register, server: RunningGateway, tmp_path: Path
) -> None:
    gateway = register(host=server.host, cache=f"run:{tmp_path.name}-{os.getpid()}")
    lakes(spark)
    first = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    assert (first.job_id, first.notebook_path, first.requests) == (None, None, TEXTS)
    started_by = {"job.id": "42", "job.parentRunId": "43", "notebook.path": "/Users/ana/lakes"}
    for name, value in started_by.items():
        spark.sparkContext.setLocalProperty(f"spark.databricks.{name}", value)
    try:
        again = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    finally:
        for name in started_by:
            spark.sparkContext.setLocalProperty(f"spark.databricks.{name}", None)  # type: ignore[arg-type]
    assert (again.job_id, again.job_run_id, again.notebook_path) == ("42", "43", "/Users/ana/lakes")
    assert (again.rows, again.requests, again.saved, again.attempts) == (ROWS, 0, ROWS, 0)
    assert (again.cost_usd, again.saved_usd) == (0, None)


def test_answers_that_do_not_fit_are_failed_rows(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    lakes(spark)
    found = run(spark, gateway, f"ai_query('{MODEL}', text_column, returnType => 'INT', failOnError => false)")
    assert (found.failed_rows, found.failed_rows_by_kind) == (ROWS, {"does_not_fit": ROWS})
    assert (found.requests, found.attempts, found.failed_attempts) == (TEXTS, TEXTS, 0)


def test_each_query_has_a_row_and_each_evaluation_counts(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    lakes(spark, rows=6, texts=6)
    spark.sql(f"SELECT ai_query('{MODEL}', text_column) AS a FROM lakes").collect()
    found = run(spark, gateway, f"ai_summarize(text_column) AS s, ai_query('{MODEL}', text_column, when => id < 2)")
    assert (found.rows, found.requests, found.saved) == (12, 8, 0)
    assert found.functions == ["ai_query", "ai_summarize"]
    runs = spark.table(create_run_view(spark, gateway.usage.table))
    assert sorted((row.rows, row.attempts) for row in runs.collect()) == [(6, 6), (12, 8)]


def test_without_the_cache_each_row_is_a_request(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host, cache="off")
    lakes(spark)
    found = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    assert (found.rows, found.requests, found.saved, found.attempts) == (ROWS, ROWS, 0, ROWS)
    packed = run(spark, gateway, "ai_query('databricks-gte-large-en', text_column)")
    assert (packed.rows, packed.requests, packed.saved) == (ROWS, ROWS, 0)
    assert packed.attempts < ROWS


def test_a_price_that_is_not_known_makes_no_cost(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    lakes(spark)
    listed = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    assert listed.cost_usd == (listed.input_tokens * Decimal("2.5") + listed.output_tokens * 15) / 1_000_000
    unknown = run(spark, gateway, "ai_query('databricks-gte-large-en', text_column)")
    assert (unknown.cost_usd, unknown.saved_usd) == (None, None)
    assert unknown.total_tokens > 0


def test_a_query_that_fails_says_why_and_what_it_cost(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    server.configure(faults=[{"match": REFUSED, "status": 400}])
    lakes(spark)
    with pytest.raises(Exception, match="AI_FUNCTION_HTTP_REQUEST_ERROR"):
        run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    found = last_run(spark, gateway)
    assert found.incomplete_tasks >= 2
    assert set(found.failed_rows_by_kind) == {"bad_request"}
    assert found.attempts == len(recorded(server))
    assert found.cost_usd > 0


def test_what_a_task_without_a_summary_sent_still_counts(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    """As a killed one has none."""
    gateway = register(host=server.host)
    lakes(spark)
    spark.sql(f"SELECT ai_query('{MODEL}', text_column) FROM lakes").collect()
    for segment, name in sealed_segments(gateway.usage.spool_dir):
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.unlink()
        kept = b"".join(line for line in lines if line[9:11] != b"T ")
        segment.with_name(str(replace(name, size=len(kept)))).write_bytes(kept)
    found = last_run(spark, gateway)
    assert (found.tasks, found.rows, found.requests, found.attempts) == (0, 0, 0, TEXTS)
    assert found.total_tokens == sum(row["total_tokens"] for row in recorded(server))
    assert (found.endpoints, found.cost_usd, found.failed_rows_by_kind) == ([MODEL], None, {})


@pytest.mark.parametrize("step", ["before the summaries", "after the summaries"])
def test_a_drain_that_dies_leaves_each_summary_to_be_appended_once(
    spark: SparkSession, register: Register, server: RunningGateway, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    gateway = register(host=server.host)
    lakes(spark)
    spark.sql(f"SELECT ai_query('{MODEL}', text_column) FROM lakes").collect()

    class DeathError(BaseException):
        pass

    append = TaskTable.append

    def append_and_die(*arguments: Any) -> int:
        if step == "after the summaries":
            assert append(*arguments) == 2
        raise DeathError

    with monkeypatch.context() as patch:
        patch.setattr(TaskTable, "append", append_and_die)
        with pytest.raises(DeathError):
            gateway.usage.flush()
    tasks = TaskTable(spark, gateway.usage.table).name
    assert gateway.usage.flush() == 0, "the usage was committed before"
    assert spark.table(tasks).count() == spark.table(tasks).select("summary_id").distinct().count() == 2
    found = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    assert (found.rows, found.tasks, spark.table(tasks).count()) == (ROWS, 2, 4)
    assert sealed_segments(gateway.usage.spool_dir) == []


def test_summaries_go_into_a_table_that_only_spark_can_write(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    lakes(spark)
    first = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    tasks = TaskTable(spark, gateway.usage.table).name
    spark.sql(f"ALTER TABLE {tasks} ADD CONSTRAINT some CHECK (rows >= 0)")
    second = run(spark, gateway, f"ai_query('{MODEL}', text_column)")
    assert (first.rows, second.rows, spark.table(tasks).count()) == (ROWS, ROWS, 4)


def test_several_flushes_at_once_append_each_summary_once(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    lakes(spark)
    spark.sql(f"SELECT ai_query('{MODEL}', text_column) FROM lakes").collect()
    segments = [path for path, _ in sealed_segments(gateway.usage.spool_dir)]
    copies = [path.read_bytes() for path in segments]
    gateway.usage.flush()
    for path, content in zip(segments, copies, strict=True):  # as drains on two hosts see them: not deleted yet
        path.write_bytes(content)
    mark = Mark.of_text(last_mark(spark, gateway.usage.table))
    assert mark is not None
    added: list[int] = []
    table = TaskTable(spark, gateway.usage.table)
    threads = [threading.Thread(target=lambda: added.append(table.append(segments, mark))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert added == [0, 0, 0]
    later = replace(mark, counter=mark.counter + 1)
    threads = [threading.Thread(target=lambda: added.append(table.append(segments, later))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, 0, 0, 0, 2]
    assert spark.table(table.name).count() == 4


def last_mark(spark: SparkSession, table: str) -> str:
    history = spark.sql(f"DESCRIBE HISTORY {table}").where("userMetadata IS NOT NULL").orderBy("version").collect()
    return str(history[-1].userMetadata)


def test_a_table_of_someone_elses_is_left_alone_and_usage_goes_on(
    spark: SparkSession, register: Register, server: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = register(host=server.host)
    tasks = TaskTable(spark, gateway.usage.table).name
    spark.sql(f"CREATE SCHEMA {tasks.partition('.')[0]}")
    spark.sql(f"CREATE TABLE {tasks} (x INT) USING DELTA")
    for word in ("one", "two"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
        assert gateway.usage.flush() == 1
    assert spark.table(tasks).count() == 0
    assert caplog.text.count("summaries are dropped: there is another table of that name") == 1


def test_a_view_of_someone_elses_is_left_alone(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    gateway = register(host=server.host)
    schema = gateway.usage.table.partition(".")[0]
    spark.sql(f"CREATE SCHEMA {schema}")
    spark.sql(f"CREATE VIEW {schema}.ai_query_runs AS SELECT 1 AS x")
    with pytest.raises(ConfigError, match="it is not gateway_batch's"):
        create_run_view(spark, gateway.usage.table)
    spark.sql(f"DROP VIEW {schema}.ai_query_runs")
    assert create_run_view(spark, gateway.usage.table) == create_run_view(spark, gateway.usage.table)


def test_the_first_flush_of_a_registration_makes_the_view(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(host=server.host)
    view = gateway.usage.table.replace(".usage", ".ai_query_runs")
    assert not spark.catalog.tableExists(view)
    gateway.usage.flush()
    assert spark.table(view).count() == 0
    spark.sql(f"DROP VIEW {view}")  # as a session without a metastore forgets it
    gateway.usage.flush()
    assert not spark.catalog.tableExists(view), "once is enough"
    register(host=server.host).usage.flush()
    assert spark.table(view).columns[:2] == ["application_id", "query_execution_id"]


def test_a_session_that_may_not_have_the_view_goes_on_without(
    spark: SparkSession, register: Register, server: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = register(host=server.host)
    schema = gateway.usage.table.partition(".")[0]
    spark.sql(f"CREATE SCHEMA {schema}")
    spark.sql(f"CREATE VIEW {schema}.ai_query_runs AS SELECT 1 AS x")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert gateway.usage.flush() == 1
    assert gateway.usage.flush() == 0
    assert caplog.text.count("no view") == 1
    assert "it is not gateway_batch's" in caplog.text
