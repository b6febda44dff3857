"""One row of each bad kind among many: the others are answered once, each bad one has its own error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import ConfigError
from gateway_batch.jobs.run import BatchJob, run_batch
from tests.spark.conftest import MODEL, TOKEN, Count

ROWS = 2_000
OUTPUT = "bad_rows.answers"
FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"status": 400, "message": "no such lake"},
    "too large": {"status": 413},
    "overloaded": {"status": 529},
    "broken": {"status": 500},
    "page": {"not_json": True},
    "cut": {"truncate": True},
    "hung up": {"disconnect": True},
    "policy": {"policy": True},
}
"""What the server does to rows with such a word."""

UNSENDABLE = ["not UTF-8", "its tag"]
NULL = "nothing"
KINDS = [*FAULTS, *UNSENDABLE, NULL]
SOURCE = "bad_rows.lakes"
TAGS = "map('kind', IF(kind = 'its tag', CAST(X'636166E9' AS STRING), 'a lake'))"


@pytest.fixture(scope="module", autouse=True)
def _lakes(spark: SparkSession) -> Any:
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    spark.sql("CREATE SCHEMA bad_rows")
    spark.range(0, ROWS, 1, 4).selectExpr("id", f"get(array({kinds}), CAST(id / 150 AS INT)) AS of_place").selectExpr(
        "id", "IF(id % 150 = 7, of_place, NULL) AS kind"
    ).selectExpr(
        "*",
        f"""CASE WHEN kind = '{NULL}' THEN NULL WHEN kind = 'not UTF-8' THEN CAST(X'636166E9' AS STRING)
            ELSE concat_ws(' ', 'Lake', id, kind) END AS body""",
    ).write.format("delta").saveAsTable(SOURCE)
    yield
    spark.sql("DROP SCHEMA bad_rows CASCADE")


@pytest.fixture
def config(server: RunningGateway, tmp_path: Path) -> gb.GatewayConfig:
    server.configure(faults=[{"match": f" {word}$", **fault} for word, fault in FAULTS.items()])
    return gb.GatewayConfig.from_env(
        host=server.host,
        token=TOKEN,
        spool_dir=str(tmp_path / "spool"),
        usage_table="bad_rows.usage",
        max_attempts=2,
        row_deadline=20.0,
    )


def check(rows: dict[str | None, tuple[int, int, str | None]]) -> None:
    """Sees that each bad row, and no other, has its own error.

    Args:
        rows: by kind, how many there are, how many have a result, and an error.
    """
    good = ROWS - len(KINDS)
    assert rows.pop(None) == (good, good, None)
    assert rows.pop(NULL) == (1, 0, None)
    assert all((count, results) == (1, 0) for count, results, _ in rows.values())
    errors = {kind: str(error) for kind, (_, _, error) in rows.items()}
    assert "no such lake" in errors["refused"]
    assert "413" in errors["too large"]
    assert "500" in errors["broken"]
    assert errors["page"].startswith("[AI_FUNCTION_JSON_PARSE_ERROR]")
    assert all("not UTF-8 from byte 3 on" in errors[kind] for kind in UNSENDABLE)
    assert errors["its tag"] != errors["not UTF-8"]
    assert len(set(errors.values())) == len(errors)


def test_a_query(spark: SparkSession, config: gb.GatewayConfig, server: RunningGateway) -> None:
    with gb.register_ai_query(spark, config, "bad_rows_query"):
        call = f"bad_rows_query('{MODEL}', body, requestTags => {TAGS}, failOnError => false)"
        found = spark.sql(
            f"""SELECT kind, count(*) AS rows, count(a.result) AS results, max(a.errorMessage) AS error
                FROM (SELECT kind, {call} AS a FROM {SOURCE}) GROUP BY kind"""
        ).collect()
        check({row.kind: (row.rows, row.results, row.error) for row in found})
        sent = ROWS - len(UNSENDABLE) - 1
        tries = server.stats()["requests"] - sent
        assert 0 < tries <= len(FAULTS) + 10, "one more attempt at most for what may pass, and some for the overload"


def test_a_job_and_its_rerun(spark: SparkSession, config: gb.GatewayConfig, requests: Count) -> None:
    job = BatchJob(SOURCE, OUTPUT, ["id"], MODEL, prompt="{body}", request_tags=TAGS)
    report = run_batch(spark, job, config)
    assert (report.rows, report.failed_rows) == (ROWS, len(KINDS) - 1)
    found = spark.sql(
        f"""SELECT kind, count(*) AS rows, count(result) AS results, max(error_message) AS error,
                   max(is_retryable) AS may_pass
            FROM {SOURCE} JOIN {OUTPUT} USING (id) GROUP BY kind"""
    ).collect()
    check({row.kind: (row.rows, row.results, row.error) for row in found})
    may_pass = {row.kind for row in found if row.may_pass}
    assert {"broken", "overloaded"} <= may_pass
    assert not may_pass & {"refused", "too large", "policy", *UNSENDABLE, NULL, None}

    again: list[gb.BatchReport] = []
    sent = requests(lambda: again.append(run_batch(spark, job, config)))
    assert again[0].planned == len(may_pass)
    assert len(may_pass) < sent <= 2 * len(may_pass) + 10  # the overload is waited out


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("in.csv", "id,body\n1,deep\n2\n3,flat,secret\n4,wide\n", "row 3, the header counted, has 1 fields, not 2"),
        (
            "in.jsonl",
            '{"id": 1, "body": "deep"}\n{"id": 2, "body": "sec\n[3]\n{"id": 4, "body": "wide"}\n',
            "line 2 is no JSON",
        ),
    ],
)
def test_a_files_bad_rows_are_named_or_left_out_and_counted(
    spark: SparkSession,
    config: gb.GatewayConfig,
    requests: Count,
    tmp_path: Path,
    name: str,
    content: str,
    fault: str,
) -> None:
    path, output = tmp_path / name, f"bad_rows.{Path(name).suffix[1:]}"
    path.write_text(content)

    def job(bad_input: str) -> BatchJob:
        return BatchJob(path, output, ["id"], MODEL, prompt="{body}", bad_input=bad_input)

    def refused() -> None:
        with pytest.raises(ConfigError) as caught:
            run_batch(spark, job("fail"), config)
        assert fault in str(caught.value)
        assert str(path) in str(caught.value)
        assert "sec" not in str(caught.value)
        with pytest.raises(ConfigError, match="bad_input: 'drop' is neither fail nor skip"):
            run_batch(spark, job("drop"), config)

    assert requests(refused) == 0
    assert not spark.catalog.tableExists(output)
    report = run_batch(spark, job("skip"), config)
    assert (report.rows, report.skipped, report.failed_rows, report.requests) == (2, 2, 0, 2)
    assert report.as_json()["skipped"] == 2
    assert sorted(int(row.id) for row in spark.table(output).collect()) == [1, 4]
