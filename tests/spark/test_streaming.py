"""`ai_query` over a stream: each row once in the output, and paid once, although a batch is run again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, Register

FILES, ROWS_A_FILE, IN_FLIGHT = 2, 60, 8
ROWS = FILES * ROWS_A_FILE


def write_input(folder: Path) -> None:
    folder.mkdir()
    for file in range(FILES):
        ids = range(file * ROWS_A_FILE, (file + 1) * ROWS_A_FILE)
        lines = (f'{{"id": {id_}, "text": "Summarize: Lake {id_} is deep."}}\n' for id_ in ids)
        (folder / f"{file}.json").write_text("".join(lines))


def run_stream(spark: SparkSession, folder: Path) -> None:
    rows = spark.readStream.schema("id LONG, text STRING").option("maxFilesPerTrigger", 1).json(str(folder / "input"))
    answers = rows.selectExpr("id", f"ai_query('{MODEL}', text) AS answer")
    stream = answers.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    stream.trigger(availableNow=True).start(str(folder / "output")).awaitTermination()


def test_a_batch_that_failed_is_run_again_and_pays_for_what_it_lacked(
    spark: SparkSession, register: Register, server: RunningGateway, tmp_path: Path
) -> None:
    write_input(tmp_path / "input")
    register(max_concurrency=IN_FLIGHT)
    server.configure(faults=[{"match": "Lake 80 ", "status": 400, "message": "no such lake"}])
    with pytest.raises(StreamingQueryException, match="STREAM_FAILED"):
        run_stream(spark, tmp_path)
    server.configure(faults=[])
    run_stream(spark, tmp_path)
    rows = spark.read.format("delta").load(str(tmp_path / "output"))
    assert rows.count() == rows.select("id").distinct().count() == ROWS
    assert rows.where("answer IS NULL OR NOT contains(answer, 'Lake ' || id)").count() == 0
    tries = 2  # of a task: a failed row of a stream is sent by each, and what was in flight then is sent again
    assert ROWS < server.stats()["requests"] <= ROWS + tries * (1 + IN_FLIGHT)
