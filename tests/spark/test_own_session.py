"""A process with a Spark session of its own: what it leaves behind, what four tries of a task pay, how it stops.

Tokens, prompts and answers stay where they belong: every trace of the run is searched for planted markers.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.ledger.reconcile import count_classes
from gateway_batch.spark.session.local_rows import frame_of
from tests.spark.conftest import MODEL, SHARED_LEDGER, Register

SECRET = "dapi-PLANTED-TOKEN-7f3a"
PROMPT = "PLANTEDPROMPT"
LAST_ROWS = 50

RUN = f"""
import os, sys, gateway_batch as gb, pyarrow as pa
from pathlib import Path
from pyarrow import parquet
host, folder = sys.argv[1], Path(sys.argv[2])
(folder / "events").mkdir()
(folder / "tmp").mkdir()
os.environ["TMPDIR"] = str(folder / "tmp")  # what processes share while queries run, answers among it
(folder / "token.txt").write_text("{SECRET}")
settings = {{
    "spark.eventLog.enabled": "true",
    "spark.eventLog.dir": (folder / "events").as_uri(),
    "spark.eventLog.compress": "false",
    "spark.local.dir": str(folder / "local"),
    "spark.log.level": "DEBUG",
    "spark.python.daemon.module": "pyspark.daemon",  # as where this package can't prepare the workers
}}
spark = gb.local_session(warehouse=folder / "warehouse", master="local[2,4]", settings=settings)
rows = [{{"t": f"{PROMPT} is a lake, number {{n}}"}} for n in range(20)]  # by Arrow: a query would show it in its plan
parquet.write_table(pa.Table.from_pylist(rows), folder / "in.parquet")
spark.read.parquet(str(folder / "in.parquet")).createOrReplaceTempView("texts")
os.environ["DATABRICKS_TOKEN"] = "{SECRET}"
calls = ("ai_query('nobody', t)", "ai_query('{MODEL}', t, returnType => 'INT')")
for number, token in enumerate(("{SECRET}", "env:DATABRICKS_TOKEN", f"file:{{folder / 'token.txt'}}")):
    config = gb.GatewayConfig.from_env(host=host, token=token)
    print(repr(config), config)
    with gb.register_ai_query(spark, config) as gateway:
        frame = spark.sql("SELECT ai_query('{MODEL}', 'Summarize: ' || t) AS a FROM texts")
        frame.explain("extended")
        assert all("{PROMPT}" in row.a for row in frame.collect())
        for call in calls:
            print(spark.sql(f"SELECT {{call[:-1]}}, failOnError => false) AS a FROM texts").first().a.errorMessage)
        try:
            spark.sql(f"SELECT {{calls[number % 2]}} AS a FROM texts").collect()
        except Exception as error:
            print(error)
        else:
            raise AssertionError("no row failed")

config = gb.GatewayConfig.from_env(host=host, token="{SECRET}", flush_interval=0, usage_table="{SHARED_LEDGER}")
gateway = gb.register_ai_query(spark, config)
spark.sparkContext.setLogLevel("ERROR")
spark.sparkContext.setJobGroup("tries", "a row that always fails")
tags = "requestTags => map('part', '%s')"
try:
    call = f"ai_query('{MODEL}', 'Lake ' || id || ' is deep', {{tags % 'tries'}})"
    spark.range(0, 100, 1, 1).selectExpr(call).collect()
except Exception as error:
    assert "no such lake" in str(error), error
else:
    raise AssertionError("no row failed")
tracker = spark.sparkContext.statusTracker()
jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup("tries")]
print("tries", max(tracker.getStageInfo(stage).numFailedTasks for job in jobs for stage in job.stageIds))
gateway.usage.flush()

spark.range({LAST_ROWS}).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id, {{tags % 'last'}})").collect()
spark.stop()
"""


@dataclass
class Run:
    """What a run left behind: its files as they were when it ended, and what it printed."""

    folder: Path
    printed: str
    files: dict[Path, bytes]
    server: RunningGateway


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    settings = Settings(port=0, token=SECRET, ledger=tmp_path_factory.mktemp("gateway") / "ledger.sqlite")
    with running(settings) as server:
        server.configure(faults=[{"match": "Lake 7 is deep", "status": 400, "message": "no such lake"}])
        command = [sys.executable, "-c", RUN, server.host, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        (folder / "printed.txt").write_text(done.stdout)
        (folder / "logged.txt").write_text(done.stderr)
        (folder / "token.txt").unlink()
        files = {path: content_of(path) for path in folder.rglob("*") if path.is_file()}
        yield Run(folder, done.stdout, files, server)


def content_of(path: Path) -> bytes:
    """A file's bytes; a Parquet file's values, which are compressed in it."""
    return repr(parquet.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else path.read_bytes()


def test_a_local_session_forks_its_workers_from_a_process_that_is_ready(spark: SparkSession) -> None:
    def forked_from(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            yield pa.RecordBatch.from_pydict({"command": [Path(f"/proc/{os.getppid()}/cmdline").read_text()]})

    (row,) = spark.range(0, 1, 1, 1).mapInArrow(forked_from, "command STRING").collect()
    assert "gateway_batch.spark.worker.worker_daemon" in row.command


def test_rows_of_this_process_reach_spark_without_a_worker(spark: SparkSession) -> None:
    schema = (
        t.StructType()
        .add("at", "timestamp")
        .add("n", "decimal(18,6)")
        .add("m", t.MapType(t.StringType(), t.LongType()))
    )
    noon = datetime(2026, 12, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    frame = frame_of(spark, [{"at": noon, "n": Decimal("0.5"), "m": [("a", 1)]}, {}], schema)
    assert frame.schema == schema
    assert list(frame.selectExpr("unix_seconds(at)", "n", "m").collect()) == [
        (noon.timestamp(), Decimal("0.500000"), {"a": 1}),
        (None, None, None),
    ]
    plan = frame._jdf.queryExecution().optimizedPlan().toString()
    assert plan.startswith("LocalRelation"), plan


def test_it_leaves_no_token_and_no_prompt_behind(run: Run) -> None:
    assert any("events" in path.parts for path in run.files)
    assert any("tmp" in path.parts for path in run.files)
    assert any("_gateway_batch" in path.parts and path.suffix == ".log" for path in run.files)
    assert any(path.suffix == ".parquet" and "usage" in path.parts for path in run.files)
    assert [path for path, content in run.files.items() if SECRET.encode() in content] == []
    own = {path: content for path, content in run.files.items() if path.name != "in.parquet"}
    assert [path for path, content in own.items() if PROMPT.encode() in content] == []


def test_it_leaves_no_answer_behind_though_nobody_closed_the_registration(run: Run) -> None:
    assert [path for path in run.files if path.name.startswith("answers")] == []


def test_a_row_that_always_fails_is_paid_once_in_four_tries(run: Run) -> None:
    assert "tries 4" in run.printed
    with closing(sqlite3.connect(run.server.ledger)) as ledger:
        sent = "SELECT status_code, count(*) FROM usage WHERE request_tags LIKE '%tries%' GROUP BY 1 ORDER BY 1"
        assert ledger.execute(sent).fetchall() == [(200, 99), (400, 1)]


def test_it_loses_no_record_when_it_stops_right_after_an_action(
    spark: SparkSession, register_shared: Register, run: Run
) -> None:
    gateway = register_shared(host=run.server.host, spool_dir=str(run.folder / "warehouse/_gateway_batch/spool"))
    assert gateway.usage.flush() == LAST_ROWS
    spark.table(SHARED_LEDGER).where("request_tags['part'] = 'last'").createOrReplaceTempView("last_rows")
    found = count_classes(spark, "last_rows", run.server.ledger, where="request_tags['part'] = 'last'")
    assert (found.matched, found.counts) == (LAST_ROWS, {})
