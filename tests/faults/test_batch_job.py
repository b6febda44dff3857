"""A batch job whose driver, executors and workers are killed at random, run again until it is done."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.cluster.standalone import Cluster, cluster_running
from tests.faults.campaign.processes import busy_writers, kill, kill_tree
from tests.quick_start import QUICK_START
from tests.redis_server import RedisServer
from tests.spark.conftest import MODEL, TOKEN

ROWS, CHUNK_ROWS, IN_FLIGHT, CHANGED = 20_000, 2_000, 32, 100
KILLS = 8
LOST = 2 * IN_FLIGHT
"""Requests that a kill may cost at most: what is in flight, and what was answered in the last moment: answers are kept
together, after up to half of a request's time (`single_flight`). An engine works on no more than that at once."""

DRIVER = f"""
import json, sys, gateway_batch as gb
host, folder, master, coordination, settings = sys.argv[1:]
settings = {{"spark.log.level": "OFF", "spark.ui.showConsoleProgress": "false", **json.loads(settings)}}
spark = gb.local_session(folder + "/warehouse", master, settings=settings)
config = gb.GatewayConfig.from_env(
    host=host, token="{TOKEN}", max_concurrency={IN_FLIGHT}, flush_interval=1, coordination=coordination,
    spool_dir=folder + "/spool",
)
job = gb.BatchJob("lakes", "answers", ["id"], "{MODEL}", "Summarize: {{text}}")
report = gb.run_batch(spark, job, config, chunk_rows={CHUNK_ROWS})
print(json.dumps(report.as_json()), flush=True)
"""


@dataclass(frozen=True)
class Place:
    """Where drivers run: `master`, Spark `settings`, and how requests are shared; `cluster` is None on one machine."""

    master: str
    settings: dict[str, str]
    coordination: str
    cluster: Cluster | None


@pytest.fixture(params=["local", "cluster"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "local":
        yield Place("local[2,100]", {}, "host", None)
        return
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_running(tmp_path / "cluster"))
        redis = RedisServer(tmp_path)
        redis.start()
        stack.callback(redis.kill)
        settings = {
            "spark.cores.max": "2",
            "spark.executor.cores": "1",
            "spark.executor.memory": "768m",
            "spark.executor.extraJavaOptions": QUICK_START,
            "spark.task.maxFailures": "100",
        }
        yield Place(cluster.master, settings, redis.url, cluster)


def start(place: Place, server: RunningGateway, folder: Path) -> subprocess.Popen[str]:
    arguments = [server.host, str(folder), place.master, place.coordination, json.dumps(place.settings)]
    with (folder / "driver.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip


def kill_something(rng: random.Random, place: Place, driver: subprocess.Popen[str], folder: Path) -> str:
    """Kills the driver with all its processes, an executor, or a Python worker; says which."""
    executors = [pid for host in place.cluster.hosts for pid in host.executors()] if place.cluster else []
    workers = busy_writers([folder / "spool"])
    what = rng.choice(["driver", "executor" if place.cluster else "worker"])
    if what == "executor" and executors:
        kill_tree(rng.choice(executors))
    elif what == "worker" and workers:
        kill(rng.choice(workers))
    else:
        what = "driver"
        kill_tree(driver.pid)
    return what


def run_to_its_end(place: Place, server: RunningGateway, folder: Path, rng: random.Random, kills: int) -> list[str]:
    """Runs the job again and again, killing something now and then; returns what was killed."""
    killed: list[str] = []
    while True:
        driver = start(place, server, folder)
        try:
            while driver.poll() is None and len(killed) < kills:
                if wait_for_requests(driver, server, rng.randrange(500, 3_500)):
                    killed.append(kill_something(rng, place, driver, folder))
            said, _ = driver.communicate(timeout=300)
        finally:
            kill_tree(driver.pid)
        if driver.returncode == 0:
            assert json.loads(said.splitlines()[-1])["status"] == "completed"
            return killed


def wait_for_requests(driver: subprocess.Popen[str], server: RunningGateway, more: int) -> bool:
    """Waits until a number of requests more have arrived; False if the driver ends before."""
    until = server.stats()["requests"] + more
    while driver.poll() is None:
        if server.stats()["requests"] >= until:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.timeout(900)
def test_a_job_that_is_killed_again_and_again_pays_each_row_once(
    spark: SparkSession, place: Place, tmp_path: Path
) -> None:
    lakes = spark.range(0, ROWS, 1, 4).selectExpr("id", "'Lake ' || id || ' is deep.' AS text")
    folder, rng = tmp_path / "warehouse", random.Random(8)
    lakes.write.format("delta").save(str(folder / "lakes"))
    with running(Settings(port=0, token=TOKEN, latency_ms=20, ledger=tmp_path / "ledger.sqlite")) as server:
        killed = run_to_its_end(place, server, tmp_path, rng, KILLS)
        sent = server.stats()["requests"]
        print(f"killed {', '.join(killed)}: {sent:,} requests for {ROWS:,} rows")
        assert len(killed) == KILLS
        assert ROWS <= sent <= ROWS + KILLS * LOST
        check_output(spark, folder / "answers", "Lake")

        wider = f"SET text = 'River ' || id || ' is wide.' WHERE id % {ROWS // CHANGED} = 0"
        spark.sql(f"UPDATE delta.`{folder / 'lakes'}` {wider}")
        run_to_its_end(place, server, tmp_path, rng, 0)
        assert server.stats()["requests"] - sent == CHANGED
        check_output(spark, folder / "answers", "River", CHANGED)

        started = time.monotonic()
        run_to_its_end(place, server, tmp_path, rng, 0)
        print(f"nothing to do: {time.monotonic() - started:.1f} s, a session's start included")
        assert server.stats()["requests"] - sent == CHANGED


def check_output(spark: SparkSession, table: Path, text: str, rows: int = ROWS) -> None:
    answers = spark.read.format("delta").load(str(table))
    assert answers.count() == answers.select("id").distinct().count() == ROWS
    assert answers.where("result IS NULL OR error_class IS NOT NULL OR event_id IS NULL").count() == 0
    assert answers.where(f"result = '{text} ' || id").count() == rows
