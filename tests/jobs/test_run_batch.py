"""Whole runs of the batch job against a gateway that counts: each row once, whatever happens to the job.
Which rows a run takes up is in `test_pending_rows`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.devgateway.oauth import CLIENT_ID
from gateway_batch.errors import ConfigError
from gateway_batch.jobs import history
from gateway_batch.jobs import output as tables
from gateway_batch.jobs.report import Status
from gateway_batch.jobs.run import BatchJob, run_batch
from gateway_batch.spark.functions import ddl_of
from tests.spark.conftest import MODEL, TOKEN, Count

from .lake_jobs import LAKES, ROWS, SCHEMA, Run, answers, config, job, lakes, run

__all__ = ["config", "job", "lakes", "run"]


def test_each_row_is_answered_once_with_what_it_took_and_again_if_it_changes(
    spark: SparkSession, run: Run, job: BatchJob, requests: Count
) -> None:
    reports: list[gb.BatchReport] = []

    def begin_another(report: gb.BatchReport) -> None:
        if not reports:
            reports.append(report)
            with pytest.raises(ConfigError, match=r"another run of .* is under way"):
                run()

    job = replace(job, request_tags={"test": "each row"})
    assert requests(lambda: reports.append(run(job=job, chunk_rows=10, on_progress=begin_another))) == ROWS
    report = reports[-1]
    assert (report.status, report.planned, report.rows, report.left) == (Status.COMPLETED, ROWS, ROWS, 0)
    assert (report.requests, report.saved, report.failed_rows) == (ROWS, 0, 0)
    rows = {row.id: row for row in answers(spark, job).collect()}
    assert set(rows) == set(range(ROWS))
    assert all(row.result == f"Lake {id_}" for id_, row in rows.items())
    assert all(row.error_class is None and row.is_retryable is False for row in rows.values())
    ours = spark.table(f"{SCHEMA}.usage").where("request_tags['test'] = 'each row'").collect()
    usage = {row.invocation_id: row for row in ours}
    assert len(ours) == len(usage) == ROWS
    for row in rows.values():
        record = usage[row.event_id]
        assert (row.input_tokens, row.output_tokens) == (record.input_tokens, record.output_tokens)
        assert row.model == record.destination_model
    assert report.input_tokens == sum(row.input_tokens for row in usage.values())
    assert report.cost_usd == sum(row.cost_usd for row in rows.values()) > 0
    executions = {row.client_metadata.query_execution_id for row in ours}
    chunks = spark.table(f"{SCHEMA}.ai_query_runs").where(F.col("query_execution_id").isin(list(executions))).collect()
    assert len(chunks) == 3
    assert sum(row.rows for row in chunks) == sum(row.requests for row in chunks) == ROWS
    assert not spark.catalog.tableExists(tables.pending_table(job.output))

    assert requests(lambda: reports.append(run(job=job))) == 0
    assert reports[-1].planned == 0
    changed = f"""
        SELECT id, IF(id % 10 = 0, 'Lake ' || id || ' is shallow.', body) AS body FROM {LAKES}
        UNION ALL VALUES ({ROWS}, 'A new lake.'), ({ROWS + 1}, NULL)"""
    assert requests(lambda: run(job=replace(job, source=changed))) == 4
    later = {row.id: row for row in answers(spark, job).collect()}
    assert len(later) == answers(spark, job).count() == ROWS + 2
    assert {id_ for id_, row in rows.items() if later[id_].event_id != row.event_id} == {0, 10, 20}
    assert (later[ROWS + 1].result, later[ROWS + 1].error_class) == (None, None)
    twice = f"SELECT * FROM {LAKES} UNION ALL VALUES (3, 'Lake 3 is deep after all.')"
    with pytest.raises(ConfigError, match="keys: 2 rows of the source have id = 3: name columns"):
        run(job=replace(job, source=twice))


def test_a_schema_that_takes_no_history_stops_no_run(
    spark: SparkSession, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "NAME", "something_else")
    spark.sql(f"CREATE TABLE {SCHEMA}.something_else (mine INT) USING DELTA")
    report = gb.BatchReport(f"{SCHEMA}.answers", "a run", 10, datetime.now(UTC))
    with history.kept(spark, f"{SCHEMA}.usage", lambda: report):
        pass
    assert spark.table(f"{SCHEMA}.something_else").count() == 0
    assert spark.table(f"{SCHEMA}.something_else").columns == ["mine"]
    spark.sql(f"DROP TABLE {SCHEMA}.something_else")
    columns = ", ".join(
        f"{name} {ddl_of(data_type)}" for name, (data_type, _) in history._COLUMNS.items() if name not in history._NEWER
    )
    spark.sql(f"CREATE TABLE {SCHEMA}.something_else ({columns}) USING DELTA")
    with history.kept(spark, f"{SCHEMA}.usage", lambda: report):
        pass
    (kept,) = spark.table(f"{SCHEMA}.something_else").collect()
    assert [kept[name] for name in sorted(history._NEWER)] == [0] * len(history._NEWER), "an earlier version's"
    assert "has no row in something_else" in caplog.text


def test_failures_are_kept_with_their_reasons_and_tried_again(
    spark: SparkSession, run: Run, job: BatchJob, server: RunningGateway, requests: Count
) -> None:
    job = replace(job, source=f"SELECT * FROM {LAKES} WHERE id BETWEEN 6 AND 9")
    server.configure(
        faults=[
            {"match": "Lake 7 ", "status": 503},
            {"match": "Lake 8 ", "status": 400, "message": "no such lake"},
        ]
    )
    assert run(job=job).errors == {"server": 1, "bad_request": 1}
    failed = {row.id: row for row in answers(spark, job).where("error_class IS NOT NULL").collect()}
    assert set(failed) == {7, 8}
    assert (failed[7].error_kind, failed[7].is_retryable) == ("server", True)
    assert (failed[8].error_class, failed[8].error_kind) == ("AI_FUNCTION_HTTP_REQUEST_ERROR", "bad_request")
    assert "no such lake" in failed[8].error_message
    assert (failed[8].result, failed[8].is_retryable, failed[8].cost_usd) == (None, False, None)
    assert failed[8].event_id is not None
    server.configure(faults=[])
    assert requests(lambda: run(job=job, retry_errors=True)) == 2
    assert answers(spark, job).where("error_class IS NOT NULL").count() == 0


def test_how_answers_ended_is_in_the_output_and_counted(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig, server: RunningGateway, requests: Count
) -> None:
    played = {
        0: "chat-cut-with-text",
        1: "chat-cut-before-any-text",
        2: "bedrock-guardrail-text",
        3: "databricks-service-policy",
        4: "chat-answer-empty",
        5: "xai-reasoning-outside-completion",
    }
    server.configure(faults=[{"match": f"Lake {id_} ", "answer": name} for id_, name in played.items()])
    job = replace(job, source=f"SELECT * FROM {LAKES} WHERE id < 7", system_prompt="Answer as a hydrologist.")
    report = run(job=job)
    assert (report.rows, report.errors) == (7, {"invalid_response": 1, "policy": 1})
    assert (report.cut_off, report.filtered, report.empty) == (2, 2, 1)
    found = answers(spark, job).select("id", "finish_reason", "reasoning_tokens").orderBy("id").collect()
    reasons = ["length", "length", "content_filter", "content_filter", "stop", "stop", "stop"]
    assert [row.finish_reason for row in found] == reasons
    assert [row.reasoning_tokens for row in found] == [None, None, None, None, None, 386, None]
    (kept,) = spark.table(f"{SCHEMA}.ai_batch_runs").where(F.col("output") == job.output).collect()
    assert (kept.cut_off, kept.filtered, kept.empty) == (2, 2, 1)

    spark.sql(f"ALTER TABLE {job.output} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql(f"ALTER TABLE {job.output} DROP COLUMNS (finish_reason, reasoning_tokens)")  # as earlier versions made it
    server.configure(faults=[])
    again: list[gb.BatchReport] = []
    assert requests(lambda: again.append(run(job=job, retry_errors=True))) == again[0].planned == 2
    assert answers(spark, job).where("finish_reason = 'stop'").count() == 2
    left = gb.estimate_batch(spark, replace(job, system_prompt=None), config).rows
    assert left == 7, "another system prompt asks anew"


def test_a_run_may_end_before_its_rows_do_and_leaves_the_rest_to_the_next(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig, server: RunningGateway, requests: Count
) -> None:
    reports: list[gb.BatchReport] = []

    def sent(**options: Any) -> int:
        return requests(lambda: reports.append(run(**options)))

    server.configure(faults=[{"status": 400}])
    assert sent(fail_if="error_rate > 5%", chunk_rows=8) == 8 == answers(spark, job).count()
    assert reports[-1].status is Status.FAIL_IF
    server.configure(faults=[])

    poor = config.model_copy(update={"budget": type(config.budget)(max_requests=5)})
    assert sent(config=poor) == 5
    assert (reports[-1].status, reports[-1].rows, reports[-1].left) == (Status.BUDGET, 5, ROWS - 8 - 5)
    assert answers(spark, job).count() == 8 + 5

    assert sent(max_rows=4) == 4 == reports[-1].planned
    assert answers(spark, job).count() == 8 + 5 + 4
    assert sent() == ROWS - 8 - 5 - 4
    assert [report.status for report in reports[-2:]] == [Status.COMPLETED] * 2
    assert answers(spark, job).where("result IS NULL").count() == 8


def test_whole_arguments_several_keys_and_another_model_behind_the_endpoint(
    spark: SparkSession,
    run: Run,
    job: BatchJob,
    config: gb.GatewayConfig,
    server: RunningGateway,
    requests: Count,
) -> None:
    def settings(model: str) -> gb.GatewayConfig:
        behind = {"base_url": f"{server.host}/ai-gateway/mlflow/v1", "token": TOKEN, "model": model}
        return gb.GatewayConfig.from_env(**{**config.model_dump(exclude_unset=True), "endpoints": {"m": behind}})

    asked = replace(
        job,
        source=f"SELECT id, IF(id = 1, NULL, 'de') AS a_key, body FROM {LAKES} WHERE id < 4",
        keys=["ID", "a_key"],
        endpoint="m",
        prompt=None,
        request="'Say yes or no: ' || body",
        return_type="BOOLEAN",
        model_parameters={"temperature": 0.1},
        request_tags="map('lake', CAST(id AS STRING))",
    )
    assert requests(lambda: run(job=asked, config=settings(MODEL))) == 4
    rows = answers(spark, job).collect()
    assert {(row.id, row.a_key) for row in rows} == {(0, "de"), (1, None), (2, "de"), (3, "de")}
    assert dict(answers(spark, job).dtypes)["result"] == "boolean"
    tags = spark.table(f"{SCHEMA}.usage").where(F.col("invocation_id").isin([row.event_id for row in rows]))
    assert {row.request_tags["lake"] for row in tags.collect()} == {"0", "1", "2", "3"}
    left = [gb.estimate_batch(spark, asked, settings(model)).rows for model in (MODEL, "databricks-claude-sonnet-4")]
    assert left == [0, 4]


def test_keys_of_any_name(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig, requests: Count
) -> None:
    keys = ["request", "chunk", "Model", "result", "key_result", "key_0", "the `id`, of.two"]
    columns = ", ".join(f"id + {place} AS `{key.replace('`', '``')}`" for place, key in enumerate(keys))
    asked = replace(job, source=f"SELECT {columns}, body FROM {LAKES} WHERE id < 3", keys=keys)
    assert requests(lambda: run(job=asked)) == 3
    assert answers(spark, job).columns[: len(keys)] == [
        "request", "chunk", "key_Model", "key_key_result", "key_result", "key_0", "the _id_, of.two",
    ]  # fmt: skip
    rows = answers(spark, job).select("request", "key_Model", "`the _id_, of.two`").collect()
    assert sorted(rows) == [(0, 2, 6), (1, 3, 7), (2, 4, 8)]
    assert gb.estimate_batch(spark, asked, config).rows == 0


def test_keys_of_any_type_and_nested_names_with_blanks(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig
) -> None:
    source = "SELECT split('a/b', '/') AS path, named_struct('n', 1) AS `in it`, 'deep' AS body"
    asked = replace(
        job, source=source, keys=["path", "in it"], prompt="{body}", return_type="ARRAY<STRUCT<`full name`: STRING>>"
    )
    report = run(job=asked)
    assert (report.planned, report.errors) == (1, {"does_not_fit": 1})
    assert gb.estimate_batch(spark, asked, config).rows == 0


def test_embeddings(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig, server: RunningGateway
) -> None:
    asked = replace(job, endpoint="databricks-gte-large-en", prompt="{body}")
    report = run(job=asked)
    assert 0 < report.requests == server.stats()["requests"] < ROWS
    rows = answers(spark, job).collect()
    assert len(rows) == ROWS == report.rows
    assert all(len(row.result) > 1 and row.event_id is None for row in rows)
    assert gb.estimate_batch(spark, asked, config).rows == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "no.such_table"}, "is no table or view of the session, no path, and no query"),
        ({"source": "SELECT nothing FROM nowhere"}, "source: .*TABLE_OR_VIEW_NOT_FOUND"),
        ({"keys": []}, "keys: name the columns"),
        ({"keys": ["ident"]}, "keys: the source has no column 'ident'; it has id, body"),
        ({"prompt": "{text}"}, "prompt: the source has no column 'text'"),
        ({"prompt": None}, "prompt or request: give one of them"),
        ({"request": "body"}, "prompt or request: give one of them"),
        ({"prompt": None, "request": "bodi"}, "the job can't be planned: .*UNRESOLVED_COLUMN"),
        ({"return_type": "LAKE"}, "the job can't be planned: .*AI_FUNCTION_UNSUPPORTED_RETURN_TYPE"),
        ({"output": "a b"}, "output: 'a b' is not a table name"),
        ({"output": LAKES}, "is the source itself"),
        (
            {"keys": ["rows", "count"], "source": "SELECT 1 AS rows, 'x' AS count, 'x' AS body FROM range(2)"},
            "keys: 2 rows of the source have rows = 1, count = 'x'",
        ),
    ],
)
def test_a_wrong_job_sends_nothing(run: Run, job: BatchJob, requests: Count, changes: Any, message: str) -> None:
    def refused() -> None:
        with pytest.raises(ConfigError, match=message):
            run(job=replace(job, **changes))

    assert requests(refused) == 0


def test_the_table_of_something_else_is_left_alone(spark: SparkSession, run: Run, job: BatchJob) -> None:
    spark.sql(f"CREATE TABLE {SCHEMA}.other (id BIGINT, text STRING) USING parquet")
    with pytest.raises(ConfigError, match=r"is not what this job writes: no column result.*text is no column of"):
        run(job=replace(job, output=f"{SCHEMA}.other"))
    spark.sql(f"CREATE TABLE {job.output}_pending (id BIGINT) USING parquet")
    with pytest.raises(ConfigError, match="it is not a batch job's"):
        run()


def test_details_are_to_be_had_in_sql_too(spark: SparkSession, config: gb.GatewayConfig) -> None:
    with gb.register_ai_query(spark, config):
        row = spark.sql(f"SELECT ai_query('{MODEL}', 'Say hi', failOnError => false, details => true) AS a").first()
        with pytest.raises(Exception, match="details of ai_query is invalid: it needs failOnError => false"):
            spark.sql(f"SELECT ai_query('{MODEL}', 'Say hi', details => true)")
    assert row is not None
    (record,) = spark.table(f"{SCHEMA}.usage").where(F.col("invocation_id") == row.a.eventId).collect()
    assert (row.a.errorMessage, row.a.errorKind) == (None, None)
    assert row.a.inputTokens == record.input_tokens


def test_a_token_that_expires_in_mid_job_fails_no_row(
    spark: SparkSession, job: BatchJob, config: gb.GatewayConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens hold for a second, and six times four requests take 0.4 s each."""
    settings = Settings(port=0, token=TOKEN, token_lifetime_s=1, latency_ms=400, ledger=tmp_path / "oauth.sqlite")
    with running(settings) as server:
        for name, value in {"HOST": server.host, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": TOKEN}.items():
            monkeypatch.setenv(f"DATABRICKS_{name}", value)
        changes = {"host": server.host, "token": SecretStr("databricks-sdk"), "max_concurrency": 4}
        report = run_batch(spark, job, config.model_copy(update=changes))
    assert (report.rows, report.failed_rows) == (ROWS, 0)
    assert report.seconds > 2 * 1
    assert TOKEN not in answers(spark, job)._jdf.queryExecution().toString()


def test_a_stream_runs_the_job_on_each_micro_batch(
    spark: SparkSession, job: BatchJob, config: gb.GatewayConfig, requests: Count, tmp_path: Path
) -> None:
    growing = f"{SCHEMA}.growing"

    def grow(rows: DataFrame) -> None:
        rows.selectExpr("id", "'Lake ' || id AS body").write.format("delta").mode("append").saveAsTable(growing)

    batches: list[int] = []

    def answer(rows: DataFrame, number: int) -> None:
        batches.append(number)
        gb.run_batch(rows.sparkSession, replace(job, source=rows), config)

    def stream(checkpoint: str, files: int) -> None:
        rows = spark.readStream.option("maxFilesPerTrigger", files).table(growing)
        started = rows.writeStream.foreachBatch(answer).trigger(availableNow=True)
        started.option("checkpointLocation", str(tmp_path / checkpoint)).start().awaitTermination()

    grow(spark.range(0, 4, 1, 2))
    assert requests(lambda: stream("first", 1)) == 4
    grow(spark.range(4, 6, 1, 1))
    assert requests(lambda: stream("second", 10)) == 2, "a stream that begins anew finds the answers in the output"
    assert batches == [0, 1, 0]
    assert spark.table(job.output).where("result IS NOT NULL").count() == 6


def test_a_stream_as_the_source_is_refused(spark: SparkSession, job: BatchJob, config: gb.GatewayConfig) -> None:
    stream = spark.readStream.table(LAKES)
    with pytest.raises(ConfigError, match=r"is a stream: .*foreachBatch"):
        gb.run_batch(spark, replace(job, source=stream), config)
