"""Answers that were paid for are committed, or kept for the next run, whatever comes between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import deltalake
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.jobs import output as tables
from gateway_batch.jobs.run import BatchJob
from gateway_batch.spark.delta_tables import conflicts
from gateway_batch.spark.delta_tables.spark_writer import SparkDeltaWriter
from tests.spark.conftest import Count

from .lake_jobs import LAKES, ROWS, SCHEMA, Run, answers, config, job, lakes, run

__all__ = ["config", "job", "lakes", "run"]


def test_a_job_that_is_interrupted_and_then_dies_goes_on_without_paying_again(
    spark: SparkSession, run: Run, job: BatchJob, requests: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted when a chunk is answered, and dies before another that is answered can be committed."""
    job = replace(job, source=f"SELECT * FROM {LAKES} WHERE id < 16")
    seen: list[gb.BatchReport] = []

    def interrupt(report: gb.BatchReport) -> None:
        seen.append(report)
        if report.rows:
            raise KeyboardInterrupt

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(job=job, chunk_rows=4, on_progress=interrupt)

    def died() -> None:
        with pytest.raises(OSError, match="no space left"):
            run(job=job, chunk_rows=4)

    assert requests(interrupted) == seen[-1].rows == answers(spark, job).count() == 4
    with monkeypatch.context() as patched:
        patched.setattr(tables, "merge", fail)
        assert requests(died) == 8
    assert answers(spark, job).count() == 4
    first = tables.unfinished_run(spark, job.output)
    assert requests(lambda: seen.append(run(job=job, chunk_rows=4))) == 4
    report = seen[-1]
    assert (report.run_id, report.planned, report.requests, report.saved) == (first, 12, 4, 8)
    assert answers(spark, job).select("id").distinct().count() == answers(spark, job).count() == 16

    runs = spark.table(f"{SCHEMA}.ai_batch_runs").where(F.col("output") == job.output).orderBy("started_at").collect()
    assert [(row.status, row.rows, row.left) for row in runs] == [
        ("interrupted", 4, 12), ("failed", 4, 8), ("completed", 12, 0)
    ]  # fmt: skip
    assert {row.run_id for row in runs} == {first}
    last = runs[-1].asDict()
    of_report = {name: value for name, value in report.as_json().items() if name not in ("started_at", "seconds")}
    assert {name: last[name] for name in of_report} == {**of_report, "cost_usd": report.cost_usd}
    assert last["seconds"] >= report.seconds > 0
    assert last["ended_at"] > last["started_at"]


class Overtaken:
    """`output.merge`, in whose midst another writer appends a row to the table, the first times."""

    def __init__(self, spark: SparkSession, job: BatchJob, times: int) -> None:
        self._merge = tables.merge
        self._left = times
        self.tries = 0

    def __call__(self, spark: SparkSession, table: str, keys: list[str], found: DataFrame) -> None:
        self.tries += 1
        if self._left > 0:
            self._left -= 1
            folder, number = str(SparkDeltaWriter(spark, table).local_folder), 1_000 + self.tries
            found = found.mapInPandas(appending(folder, number), found.schema)
        self._merge(spark, table, keys, found)


def appending(folder: str, number: int) -> Any:
    def pass_on(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        deltalake.write_deltalake(folder, pa.table({"id": [number]}), mode="append", schema_mode="merge")
        yield from batches

    return pass_on


def test_a_commit_that_others_overtake_is_made_again_and_nothing_is_paid_twice(
    spark: SparkSession, run: Run, job: BatchJob, requests: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflicts, "PAUSES_S", [0.01] * 4)
    overtaken = Overtaken(spark, job, times=3)
    monkeypatch.setattr(tables, "merge", overtaken)
    assert requests(run) == ROWS
    assert overtaken.tries == 4
    assert answers(spark, job).where("result IS NOT NULL").count() == ROWS


def test_answers_that_cant_be_committed_are_kept_for_the_next_run(
    spark: SparkSession, run: Run, job: BatchJob, requests: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conflicts, "PAUSES_S", [0.01])

    def overtaken() -> None:
        with pytest.raises(Exception, match="DELTA_CONCURRENT_APPEND"):
            run()

    with monkeypatch.context() as patched:
        patched.setattr(tables, "merge", Overtaken(spark, job, times=9))
        assert requests(overtaken) == ROWS
    assert answers(spark, job).where("result IS NOT NULL").count() == 0
    assert requests(run) == 0
    assert answers(spark, job).where("result IS NOT NULL").count() == ROWS
