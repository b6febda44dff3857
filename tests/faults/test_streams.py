"""A stream whose process is killed again and again: each row once in the output, and paid once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.spark.conftest import MODEL, TOKEN

ROWS, FILES, IN_FLIGHT, KILLS = 5_000, 10, 32, 3

STREAM = f"""
import sys, gateway_batch as gb
host, folder = sys.argv[1:]
spark = gb.local_session(warehouse=folder + "/warehouse", master="local[2,4]", settings={{"spark.log.level": "ERROR"}})
config = gb.GatewayConfig.from_env(host=host, token="{TOKEN}", max_concurrency={IN_FLIGHT}, flush_interval=1)
with gb.register_ai_query(spark, config):
    rows = spark.readStream.schema("id LONG, text STRING").option("maxFilesPerTrigger", 2).json(folder + "/input")
    answers = rows.selectExpr("id", "ai_query('{MODEL}', text) AS answer")
    stream = answers.writeStream.format("delta").option("checkpointLocation", folder + "/checkpoint")
    stream.trigger(availableNow=True).start(folder + "/output").awaitTermination()
print("finished", flush=True)
"""


def write_input(folder: Path) -> None:
    (folder / "input").mkdir()
    for file in range(FILES):
        ids = range(file * ROWS // FILES, (file + 1) * ROWS // FILES)
        lines = (f'{{"id": {id_}, "text": "Summarize: Lake {id_} is deep."}}\n' for id_ in ids)
        (folder / "input" / f"{file}.json").write_text("".join(lines))


def start(server: RunningGateway, folder: Path) -> subprocess.Popen[str]:
    """A stream in a process group of its own, so that the kill takes its JVM and workers too."""
    command = [sys.executable, "-c", STREAM, server.host, str(folder)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )


def wait_for_requests(server: RunningGateway, count: int) -> None:
    until = time.monotonic() + 120
    while server.stats()["requests"] < count:
        assert time.monotonic() < until, f"{server.stats()['requests']} requests, not {count}"
        time.sleep(0.02)


@pytest.mark.timeout(600)
def test_a_stream_that_is_killed_again_and_again_pays_each_row_once(spark: SparkSession, tmp_path: Path) -> None:
    write_input(tmp_path)
    with running(Settings(port=0, token=TOKEN, latency_ms=30, ledger=tmp_path / "ledger.sqlite")) as server:
        for kill in range(KILLS):
            stream = start(server, tmp_path)
            wait_for_requests(server, ROWS * (2 * kill + 1) // (2 * KILLS + 1))
            os.killpg(stream.pid, signal.SIGKILL)
            stream.communicate()
        output, _ = start(server, tmp_path).communicate(timeout=240)
        assert output.endswith("finished\n")
        sent = server.stats()["requests"]
    check_output(spark, tmp_path, sent)


def check_output(spark: SparkSession, tmp_path: Path, sent: int) -> None:
    rows = spark.read.format("delta").load(str(tmp_path / "output"))
    assert rows.count() == rows.select("id").distinct().count() == ROWS
    assert rows.where("answer IS NULL OR NOT contains(answer, 'Lake ' || id)").count() == 0
    assert ROWS <= sent <= ROWS + KILLS * IN_FLIGHT
    recorded = spark.read.format("delta").load(str(tmp_path / "warehouse/ai_gateway.db/usage")).count()
    assert sent <= recorded <= sent + KILLS * IN_FLIGHT  # what was killed on its way out may not have arrived
