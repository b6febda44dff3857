"""Which rows a batch job answers, and in which chunks: queries over views, and nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.jobs.pending_rows import pending_sql
from gateway_batch.jobs.source import check_keys, read_source
from gateway_batch.spark.session.temporary_view import as_view
from tests.spark.conftest import MODEL

EARLIER = """VALUES
  ('answered', 'a', 'a deep lake'), ('answered', NULL, 'a deep lake'), (NULL, 'a', 'a deep lake'),
  ('changed', 'a', 'a deep lake'), ('failed for now', 'a', 'a deep lake'), ('failed for good', 'a', 'a deep lake'),
  ('nothing to ask', 'a', NULL), ('gone', 'a', 'a deep lake')"""
NOW = """VALUES
  ('answered', 'a', 'a deep lake'), ('answered', NULL, 'a deep lake'), (NULL, 'a', 'a deep lake'),
  ('changed', 'a', 'a shallow lake'), ('failed for now', 'a', 'a deep lake'), ('failed for good', 'a', 'a deep lake'),
  ('nothing to ask', 'a', NULL), ('new', 'a', 'a wide lake'), ('new', NULL, 'a wide lake')"""
ALL = 9
CHANGED = {("changed", "a"), ("new", "a"), ("new", None)}
FOR_NOW, FOR_GOOD = ("failed for now", "a"), ("failed for good", "a")
NOTHING = ("nothing to ask", "a")

JOB = gb.BatchJob("now_asked", "unused", ["state", "PART"], MODEL, "Summarize: {body}")


def query(spark: SparkSession, job: gb.BatchJob, source: str, **options: Any) -> str:
    columns = spark.table(source).columns
    keys = check_keys(spark.table(source), list(job.keys))
    return pending_sql(source, keys=keys, inputs=job.inputs(columns), **{"chunk_rows": 100, **options})


@pytest.fixture(scope="module", autouse=True)
def views(spark: SparkSession) -> Iterator[None]:
    """The source as it was and as it is, and what a run over the former wrote."""
    for name, rows in (("earlier_asked", EARLIER), ("now_asked", NOW)):
        spark.sql(f"CREATE TEMPORARY VIEW {name} AS SELECT * FROM ({rows}) AS lakes(state, part, body)")
    asked = query(spark, JOB, "earlier_asked", output=None)
    spark.sql(
        "CREATE TEMPORARY VIEW already_done AS SELECT key_0 AS state, key_1 AS part, request_hash, "
        "key_0 = 'failed for now' AS is_retryable, "
        f"IF(key_0 LIKE 'failed%', 'AI_FUNCTION_HTTP_REQUEST_ERROR', NULL) AS error_class FROM ({asked})"
    )
    yield
    for name in ("earlier_asked", "now_asked", "already_done"):
        spark.catalog.dropTempView(name)


def test_rows_are_pending_that_are_new_or_changed_or_failed(spark: SparkSession) -> None:
    asked: dict[str, tuple[gb.BatchJob, dict[str, Any]]] = {
        "by default": (JOB, {}),
        "with errors": (JOB, {"retry_errors": True}),
        "some at most": (JOB, {"max_rows": 3}),
        "more than there are": (JOB, {"max_rows": 100}),
        "one request": (JOB, {"sample": 1}),
        "two requests": (JOB, {"sample": 2}),
        "another parameter": (replace(JOB, model_parameters={"max_tokens": 50}), {}),
        "another prompt": (replace(JOB, prompt="Shorten: {body}"), {}),
        "no output yet": (JOB, {"output": None}),
    }
    parts = [
        f"SELECT '{name}' AS name, key_0 AS state, key_1 AS part, request_hash FROM "
        f"({query(spark, job, 'now_asked', **{'output': 'already_done', **options})})"
        for name, (job, options) in asked.items()
    ]
    rows = spark.sql("\nUNION ALL\n".join(parts)).collect()
    pending = {name: [(row.state, row.part) for row in rows if row.name == name] for name in asked}
    hashes = {name: {row.request_hash for row in rows if row.name == name} for name in asked}

    assert set(pending["by default"]) == {*CHANGED, FOR_NOW}
    assert set(pending["with errors"]) == {*CHANGED, FOR_NOW, FOR_GOOD}
    assert len(pending["some at most"]) == 3
    assert set(pending["some at most"]) < set(pending["by default"])
    assert set(pending["more than there are"]) == set(pending["by default"])
    assert len(pending["another parameter"]) == len(pending["no output yet"]) == ALL
    assert set(pending["another prompt"]) == set(pending["no output yet"]) - {NOTHING}, "asked nothing, and does still"
    assert all(len(found) == len(set(found)) for found in pending.values())

    in_order = sorted(hashes["by default"])
    assert len(in_order) == 3, "the two new rows ask the same"
    assert hashes["one request"] == {in_order[0]}
    assert hashes["two requests"] == set(in_order[:2])
    of_sample = {(row.state, row.part) for row in rows if row.name == "by default" and row.request_hash in in_order[:2]}
    assert set(pending["two requests"]) == of_sample, "a request's rows are answered together"


def test_a_chunk_has_so_many_rows_at_most(spark: SparkSession) -> None:
    source = spark.range(0, 22, 1, 2).selectExpr("CAST(id AS STRING) AS state", "'a' AS part", "'deep' AS body")
    with as_view(source) as view:
        counts = spark.sql(query(spark, JOB, view, output=None, chunk_rows=4)).groupBy("chunk").count().collect()
    assert sorted(row["count"] for row in counts) == [3, 3, 4, 4, 4, 4]


def test_a_source_may_be_any_of_these(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(0, 3, 1, 1).selectExpr("id", "'deep' AS body")
    frame.createOrReplaceTempView("few_lakes")
    frame.write.parquet(str(tmp_path / "few.parquet"))
    sources: list[str | Path | DataFrame] = [
        "SELECT * FROM few_lakes", "\n with a AS (SELECT * FROM few_lakes) SELECT * FROM a", "few_lakes",
        "-- all of them\n(SELECT * FROM few_lakes)", "/* ** */ FROM few_lakes", "`few_lakes`",
        str(tmp_path / "few.parquet"), tmp_path / "few.parquet", frame,
    ]  # fmt: skip
    for source in sources:
        assert {row.id for row in read_source(spark, source).collect()} == {0, 1, 2}, source
    spark.catalog.dropTempView("few_lakes")
