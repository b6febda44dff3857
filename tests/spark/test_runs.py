"""The view of runs against figures that plain Python makes of the input and of the gateway's own record."""

from __future__ import annotations

import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.response_cache import Savings
from gateway_batch.response_cache.process_cache import shared_dir
from gateway_batch.spark.analytics import run_view
from gateway_batch.spark.analytics.run_view import create_run_view
from gateway_batch.spark.gateway import Usage
from gateway_batch.spark.ledger.task_table import TaskTable
from gateway_batch.usage.manifests import CommitId
from gateway_batch.usage.spool import sealed_segments
from tests.spark.conftest import AS_STARTED, MODEL, SHARED_LEDGER, TOKEN, Register

PRICES = {"input": 2.5, "output": 10.0, "cache_read": 0.25}
ROWS = 40
TEXTS = 8
REFUSED, DENIED, SLOW = "Lake 1 ", "Lake 5 ", "Lake 6 "
FAULTS = [
    {"match": REFUSED, "status": 400},
    {"match": DENIED, "policy": True},
    {"match": SLOW, "status": 500, "times_per_prompt": 1},
]
STARTED_BY = {"job.id": "42", "job.parentRunId": "43", "notebook.path": "/Users/ana/lakes"}
LAKES = [f"Lake {row % TEXTS} is deep." for row in range(ROWS)]
CALL = f"ai_query('{MODEL}', text_column)"
LENIENT = f"ai_query('{MODEL}', text_column, failOnError => false)"
EMBED = "ai_query('databricks-gte-large-en', text_column)"
RUNS = SHARED_LEDGER.replace(".usage", ".ai_query_runs")


@dataclass
class Run:
    """A query: its row in the view, what the gateway recorded of it, and what its registration says it saved."""

    row: Row
    recorded: list[dict[str, Any]]
    saved: Savings | None


@pytest.fixture(scope="module")
def runs(
    spark: SparkSession, shared_server: RunningGateway, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """Queries that are drained together. Each has a registration of its own, whose requester it is known by."""
    spool_dir = tmp_path_factory.mktemp("runs") / "spool"
    shared = {"host": shared_server.host, "token": TOKEN, "flush_interval": 0, "usage_table": SHARED_LEDGER}
    texts = spark.range(0, ROWS, 1, 2).selectExpr("id", f"'Lake ' || id % {TEXTS} || ' is deep.' AS text_column")
    texts.createOrReplaceTempView("lakes")
    saved: dict[str, dict[int | str, Savings]] = {}

    def ask(name: str, call: str = CALL, *, source: str = "lakes", **settings: Any) -> None:
        own = {**shared, "spool_dir": str(spool_dir), "requester": name, "request_tags": {"run": name}, **settings}
        gateway = gb.register_ai_query(spark, gb.GatewayConfig.from_env(**own))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gateway.usage, "flush", lambda: 0)
            try:
                spark.sql(f"SELECT {call} AS a FROM {source}").collect()
            finally:
                saved[name] = gateway.saved()
                gateway.close()

    ask("without summaries")
    drop_summaries(spool_dir)
    shared_server.reset()
    shared_server.configure(faults=FAULTS)
    ask("counted", LENIENT, endpoints={MODEL: {"prices": PRICES}})
    shared_server.configure(faults=FAULTS[:1])
    with pytest.raises(Exception, match="AI_FUNCTION_HTTP_REQUEST_ERROR"):
        ask("failed")
    shared_server.configure(**AS_STARTED)
    ask("of no type", f"ai_query('{MODEL}', text_column, returnType => 'INT', failOnError => false)")
    six = "(SELECT * FROM lakes WHERE id < 6)"
    ask(
        "evaluated twice",
        f"ai_summarize(text_column) AS s, ai_query('{MODEL}', text_column, when => id < 2)",
        source=six,
    )
    ask("uncached", cache="off")
    ask("packed", EMBED, cache="off")
    folder = f"runs-{os.getpid()}"
    both: dict[str, Any] = {"cache": f"run:{folder}", "request_tags": {"run": "both"}}
    ask("first of two", **both)
    for name, value in STARTED_BY.items():
        spark.sparkContext.setLocalProperty(f"spark.databricks.{name}", value)
    try:
        ask("second of two", **both)
    finally:
        for name in STARTED_BY:
            spark.sparkContext.setLocalProperty(f"spark.databricks.{name}", None)  # type: ignore[arg-type]
        shutil.rmtree(shared_dir(f"runs/{folder}"), ignore_errors=True)

    Usage(spark, SHARED_LEDGER, spool_dir).flush()
    found = spark.table(RUNS).where(F.col("requester").isin(list(saved))).collect()
    assert len(found) == len(saved), "each query has a row"
    return {
        row.requester: Run(
            row, recorded(shared_server, row.requester), saved[row.requester].get(int(row.query_execution_id))
        )
        for row in found
    }


def drop_summaries(spool_dir: Path) -> None:
    """What tasks that are killed have none of."""
    for segment, name in sealed_segments(spool_dir):
        lines = segment.read_bytes().splitlines(keepends=True)
        segment.unlink()
        kept = b"".join(line for line in lines if line[9:11] != b"T ")
        segment.with_name(str(replace(name, size=len(kept)))).write_bytes(kept)


def recorded(server: RunningGateway, run: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(server.ledger)) as database:
        database.row_factory = sqlite3.Row
        of_run = database.execute("SELECT * FROM usage WHERE json_extract(request_tags, '$.run') = ?", (run,))
        return [dict(row) for row in of_run]


def test_a_run_is_counted_in_rows_requests_attempts_tokens_and_dollars(
    spark: SparkSession, runs: dict[str, Run]
) -> None:
    found, theirs = runs["counted"].row, runs["counted"].recorded
    failed = {"bad_request": sum(REFUSED in text for text in LAKES), "policy": sum(DENIED in text for text in LAKES)}
    tokens = {name: sum(row[name] or 0 for row in theirs) for name in ("input_tokens", "output_tokens", "total_tokens")}
    cost = (tokens["input_tokens"] * Decimal("2.5") + tokens["output_tokens"] * 10) / 1_000_000
    assert found.asDict() | {"started_at": None, "ended_at": None, "wall_ms": None} == {
        "application_id": spark.sparkContext.applicationId,
        "query_execution_id": found.query_execution_id,
        "requester": "counted",
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
    assert runs["counted"].saved == (found.requests, found.saved)


def test_a_run_says_what_started_it_even_if_it_sent_nothing(runs: dict[str, Run]) -> None:
    first, again = runs["first of two"].row, runs["second of two"].row
    assert (first.job_id, first.notebook_path, first.requests) == (None, None, TEXTS)
    assert (again.job_id, again.job_run_id, again.notebook_path) == ("42", "43", "/Users/ana/lakes")
    assert (again.rows, again.requests, again.saved, again.attempts) == (ROWS, 0, ROWS, 0)
    assert (again.cost_usd, again.saved_usd) == (0, None)


def test_answers_that_do_not_fit_are_failed_rows(runs: dict[str, Run]) -> None:
    found = runs["of no type"].row
    assert (found.failed_rows, found.failed_rows_by_kind) == (ROWS, {"does_not_fit": ROWS})
    assert (found.requests, found.attempts, found.failed_attempts) == (TEXTS, TEXTS, 0)


def test_each_evaluation_counts(runs: dict[str, Run]) -> None:
    found = runs["evaluated twice"].row
    assert (found.rows, found.requests, found.saved, found.attempts) == (12, 8, 0, 8)
    assert found.functions == ["ai_query", "ai_summarize"]


def test_without_the_cache_each_row_is_a_request(runs: dict[str, Run]) -> None:
    found = runs["uncached"].row
    assert (found.rows, found.requests, found.saved, found.attempts) == (ROWS, ROWS, 0, ROWS)
    packed = runs["packed"].row
    assert (packed.rows, packed.requests, packed.saved) == (ROWS, ROWS, 0)
    assert packed.attempts < ROWS


def test_a_run_costs_what_its_tokens_do_by_the_list_prices(runs: dict[str, Run]) -> None:
    listed, embedded = runs["first of two"].row, runs["packed"].row
    assert listed.cost_usd == (listed.input_tokens * Decimal("2.5") + listed.output_tokens * 15) / 1_000_000
    assert 0 < embedded.cost_usd < listed.cost_usd


def test_a_query_that_fails_says_why_and_what_it_cost(runs: dict[str, Run]) -> None:
    found = runs["failed"].row
    assert found.incomplete_tasks >= 2
    assert set(found.failed_rows_by_kind) == {"bad_request"}
    assert found.attempts == len(runs["failed"].recorded)
    assert found.cost_usd > 0


def test_what_a_task_without_a_summary_sent_still_counts(runs: dict[str, Run]) -> None:
    """As a killed one has none."""
    found = runs["without summaries"].row
    assert (found.tasks, found.rows, found.requests, found.attempts) == (0, 0, 0, TEXTS)
    assert found.total_tokens == sum(row["total_tokens"] for row in runs["without summaries"].recorded)
    assert (found.endpoints, found.cost_usd, found.failed_rows_by_kind) == ([MODEL], None, {})


def test_several_flushes_at_once_append_each_summary_once(spark: SparkSession, register_shared: Register) -> None:
    gateway = register_shared()
    spark.range(0, 4, 1, 2).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id)").collect()
    segments = [path for path, _ in sealed_segments(gateway.usage.spool_dir)]
    copies = [path.read_bytes() for path in segments]
    gateway.usage.flush()
    for path, content in zip(segments, copies, strict=True):  # as drains on two hosts see them: not deleted yet
        path.write_bytes(content)
    mark = CommitId.of_text(last_mark(spark, gateway.usage.table))
    assert mark is not None
    table = TaskTable(spark, gateway.usage.table)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda _: table.append(segments, mark), range(3))) == [0, 0, 0]
        later = replace(mark, counter=mark.counter + 1)
        assert sorted(threads.map(lambda _: table.append(segments, later), range(3))) == [0, 0, 2]
    assert spark.table(table.name).where(f"requester = '{gateway.config.requester}'").count() == 4


def last_mark(spark: SparkSession, table: str) -> str:
    history = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()
    return str(history[0].userMetadata)


def test_a_table_and_a_view_of_someone_elses_are_left_alone_and_usage_goes_on(
    spark: SparkSession, register: Register, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = register()
    tasks = TaskTable(spark, gateway.usage.table).name
    view = tasks.replace("ai_query_tasks", "ai_query_runs")
    spark.sql(f"CREATE SCHEMA {tasks.partition('.')[0]}")
    spark.sql(f"CREATE TABLE {tasks} (x INT) USING DELTA")
    for word in ("one", "two"):
        spark.sql(f"SELECT ai_query('{MODEL}', '{word}')").collect()
        assert gateway.usage.flush() == 1
    assert spark.table(tasks).count() == 0
    assert caplog.text.count("summaries are dropped: there is another table of that name") == 1
    assert caplog.text.count("no view") == 1

    caplog.clear()
    spark.sql(f"CREATE VIEW {view} AS SELECT 1 AS x")
    gateway = register()
    spark.sql(f"SELECT ai_query('{MODEL}', 'three')").collect()
    assert gateway.usage.flush() == 1
    assert gateway.usage.flush() == 0
    assert caplog.text.count("no view") == 1
    assert "it is not gateway_batch's" in caplog.text
    with pytest.raises(ConfigError, match="it is not gateway_batch's"):
        create_run_view(spark, gateway.usage.table)
    assert spark.table(view).columns == ["x"]


def test_the_first_flush_of_a_registration_makes_the_view(
    spark: SparkSession, register_shared: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark.sql(f"DROP VIEW IF EXISTS {RUNS}")  # as a session without a metastore forgets it
    gateway = register_shared()
    gateway.usage.flush()
    assert spark.table(RUNS).where(f"requester = '{gateway.config.requester}'").count() == 0
    spark.sql(f"DROP VIEW {RUNS}")
    gateway.usage.flush()
    assert not spark.catalog.tableExists(RUNS), "once is enough"
    register_shared().usage.flush()
    assert spark.table(RUNS).columns[:2] == ["application_id", "query_execution_id"]
    monkeypatch.setattr(run_view, "read_sql", None)  # the session has it, and needs no statement for it
    assert create_run_view(spark, gateway.usage.table) == RUNS
