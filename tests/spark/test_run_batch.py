"""The batch job against a gateway that counts: each row once, whatever happens to the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.devgateway.oauth import CLIENT_ID
from gateway_batch.errors import ConfigError
from gateway_batch.jobs import output as tables
from gateway_batch.jobs.report import Status
from gateway_batch.jobs.run import BatchJob, run_batch
from tests.spark.conftest import MODEL, TOKEN, Count

ROWS = 60

Run = Callable[..., gb.BatchReport]


@pytest.fixture
def schema(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    name = f"b_{abs(hash(str(tmp_path))):x}"
    spark.sql(f"CREATE SCHEMA {name}")
    yield name
    spark.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture
def config(server: RunningGateway, schema: str, tmp_path: Path) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(
        host=server.host, token=TOKEN, spool_dir=str(tmp_path / "spool"), usage_table=f"{schema}.usage", max_attempts=1
    )


@pytest.fixture(scope="module")
def lakes(spark: SparkSession) -> Iterator[str]:
    """A table of texts, for all tests."""
    texts = spark.range(0, ROWS, 1, 3).selectExpr("id", "'Lake ' || id || ' is deep.' AS body")
    texts.write.format("delta").saveAsTable("batch_lakes")
    yield "batch_lakes"
    spark.sql("DROP TABLE batch_lakes")


@pytest.fixture
def job(lakes: str, schema: str) -> BatchJob:
    return BatchJob(source=lakes, output=f"{schema}.answers", keys=["id"], endpoint=MODEL, prompt="Summarize: {body}")


@pytest.fixture
def run(spark: SparkSession, config: gb.GatewayConfig, job: BatchJob) -> Run:
    def once(**options: Any) -> gb.BatchReport:
        asked = options.pop("job", job)
        return run_batch(spark, asked, options.pop("config", config), **options)

    return once


def answers(spark: SparkSession, job: BatchJob) -> DataFrame:
    return spark.table(job.output)


def test_each_row_has_an_answer_with_what_it_took(spark: SparkSession, run: Run, job: BatchJob, schema: str) -> None:
    report = run(chunk_rows=25)
    assert (report.status, report.planned, report.rows, report.left) == (Status.COMPLETED, ROWS, ROWS, 0)
    assert (report.requests, report.saved, report.failed_rows) == (ROWS, 0, 0)
    rows = {row.id: row for row in answers(spark, job).collect()}
    assert set(rows) == set(range(ROWS))
    assert all(row.result == f"Lake {id_}" for id_, row in rows.items())
    assert all(row.error_class is None and row.is_retryable is False for row in rows.values())
    usage = {row.invocation_id: row for row in spark.table(f"{schema}.usage").collect()}
    assert len(usage) == ROWS
    for row in rows.values():
        record = usage[row.event_id]
        assert (row.input_tokens, row.output_tokens) == (record.input_tokens, record.output_tokens)
        assert row.model == record.destination_model
    assert report.input_tokens == sum(row.input_tokens for row in usage.values())
    assert report.cost_usd == sum(row.cost_usd for row in rows.values()) > 0
    chunks = spark.table(f"{schema}.ai_query_runs").collect()
    assert len(chunks) == 3
    assert sum(row.rows for row in chunks) == sum(row.requests for row in chunks) == ROWS
    assert not spark.catalog.tableExists(tables.pending_table(job.output))


def test_the_last_report_of_each_run_is_kept(
    spark: SparkSession, run: Run, job: BatchJob, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(report: gb.BatchReport) -> None:
        if report.rows:
            raise KeyboardInterrupt

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    with pytest.raises(KeyboardInterrupt):
        run(chunk_rows=20, on_progress=interrupt)
    with monkeypatch.context() as patched:
        patched.setattr(tables, "merge", fail)
        with pytest.raises(OSError, match="no space"):
            run(chunk_rows=20)
    report = run(chunk_rows=20)
    rows = spark.table(f"{schema}.ai_batch_runs").orderBy("started_at").collect()
    assert [(row.status, row.rows, row.left) for row in rows] == [
        ("interrupted", 20, ROWS - 20), ("failed", 20, 20), ("completed", report.planned, 0)
    ]  # fmt: skip
    assert {row.run_id for row in rows} == {report.run_id}
    last = rows[-1].asDict()
    of_report = {name: value for name, value in report.as_json().items() if name not in ("started_at", "seconds")}
    assert {name: last[name] for name in of_report} == {**of_report, "cost_usd": report.cost_usd}
    assert last["seconds"] >= report.seconds > 0
    assert last["ended_at"] > last["started_at"]


def test_a_schema_that_takes_no_history_stops_no_run(
    spark: SparkSession, run: Run, schema: str, caplog: pytest.LogCaptureFixture
) -> None:
    spark.sql(f"CREATE TABLE {schema}.ai_batch_runs USING DELTA AS SELECT 1 AS mine")
    assert run().status is Status.COMPLETED
    assert spark.table(f"{schema}.ai_batch_runs").count() == 1
    assert "has no row in ai_batch_runs" in caplog.text


def test_a_second_run_has_nothing_to_do(run: Run, requests: Count) -> None:
    run()
    assert requests(lambda: run()) == 0
    assert run().planned == 0


def test_only_new_and_changed_rows_are_asked(
    spark: SparkSession, run: Run, job: BatchJob, schema: str, requests: Count
) -> None:
    spark.sql(f"CREATE TABLE {schema}.lakes USING DELTA AS SELECT * FROM {job.source}")
    job = replace(job, source=f"{schema}.lakes")
    run(job=job)
    before = {row.id: row.event_id for row in answers(spark, job).collect()}
    spark.sql(f"UPDATE {schema}.lakes SET body = 'Lake ' || id || ' is shallow.' WHERE id % 20 = 0")
    spark.sql(f"INSERT INTO {schema}.lakes VALUES ({ROWS}, 'A new lake.'), ({ROWS + 1}, NULL)")
    assert requests(lambda: run(job=job)) == 4
    rows = {row.id: row for row in answers(spark, job).collect()}
    assert len(rows) == ROWS + 2
    assert {id_ for id_, event in before.items() if rows[id_].event_id != event} == {0, 20, 40}
    assert (rows[ROWS + 1].result, rows[ROWS + 1].error_class) == (None, None)
    assert requests(lambda: run(job=job)) == 0


def test_another_question_asks_all_rows_again(run: Run, job: BatchJob, requests: Count) -> None:
    run()
    assert requests(lambda: run(job=replace(job, model_parameters={"max_tokens": 50}))) == ROWS
    assert requests(lambda: run(job=replace(job, prompt="Shorten: {body}"))) == ROWS


def test_a_job_that_died_goes_on_without_paying_again(
    spark: SparkSession, run: Run, job: BatchJob, requests: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies after a chunk is answered and before it is committed."""
    commits = iter([True, False, False])  # a commit is tried twice

    def merge(*arguments: Any) -> None:
        if not next(commits):
            raise OSError("no space left on device")
        tables_merge(*arguments)

    tables_merge = tables.merge
    monkeypatch.setattr(tables, "merge", merge)

    def die() -> None:
        with pytest.raises(OSError, match="no space left"):
            run(chunk_rows=20)

    died = requests(die)
    monkeypatch.undo()
    assert answers(spark, job).count() < ROWS
    first = tables.unfinished_run(spark, job.output)
    reports = []
    gone_on = requests(lambda: reports.append(run(chunk_rows=20)))
    assert died + gone_on == ROWS
    assert reports[0].run_id == first
    assert reports[0].saved == died - (ROWS - reports[0].planned) > 0
    assert answers(spark, job).select("id").distinct().count() == answers(spark, job).count() == ROWS


def test_failures_that_may_pass_are_tried_again_by_the_next_run(
    spark: SparkSession, run: Run, job: BatchJob, server: RunningGateway, requests: Count
) -> None:
    server.configure(faults=[{"match": "Lake 7 ", "status": 503}])
    report = run()
    failed = {row.id for row in answers(spark, job).where("error_class IS NOT NULL").collect()}
    assert failed == {7} == {row.id for row in answers(spark, job).where("is_retryable").collect()}
    assert report.errors == {"server": 1}
    server.configure(faults=[])
    assert requests(lambda: run()) == 1
    assert answers(spark, job).where("error_class IS NOT NULL").count() == 0


def test_failures_that_would_repeat_themselves_are_tried_again_if_asked(
    spark: SparkSession, run: Run, job: BatchJob, server: RunningGateway, requests: Count
) -> None:
    server.configure(faults=[{"match": "Lake 7 ", "status": 400, "message": "no such lake"}])
    run()
    (failed,) = answers(spark, job).where("error_class IS NOT NULL").collect()
    assert (failed.id, failed.error_class, failed.error_kind) == (7, "AI_FUNCTION_HTTP_REQUEST_ERROR", "bad_request")
    assert "no such lake" in failed.error_message
    assert (failed.result, failed.is_retryable, failed.cost_usd) == (None, False, None)
    assert failed.event_id is not None
    server.configure(faults=[])
    assert requests(lambda: run()) == 0
    assert requests(lambda: run(retry_errors=True)) == 1
    assert answers(spark, job).where("error_class IS NOT NULL").count() == 0


def test_a_run_may_be_bounded(spark: SparkSession, run: Run, job: BatchJob, requests: Count) -> None:
    assert requests(lambda: run(max_rows=20)) == 20
    assert answers(spark, job).count() == 20
    assert requests(lambda: run(max_rows=100)) == ROWS - 20


def test_a_run_ends_where_the_condition_holds(
    spark: SparkSession, run: Run, job: BatchJob, server: RunningGateway, requests: Count
) -> None:
    server.configure(faults=[{"status": 400}])
    reports = []
    sent = requests(lambda: reports.append(run(fail_if="error_rate > 5%", chunk_rows=20)))
    assert reports[0].status is Status.FAIL_IF
    assert sent == 20 == answers(spark, job).count()
    server.configure(faults=[])
    assert requests(lambda: run()) == ROWS - 20


def test_a_spent_budget_leaves_the_rest_for_the_next_run(
    spark: SparkSession, run: Run, job: BatchJob, config: gb.GatewayConfig, requests: Count
) -> None:
    reports = []
    poor = config.model_copy(update={"budget": type(config.budget)(max_requests=25)})
    assert requests(lambda: reports.append(run(config=poor))) == 25
    assert (reports[0].status, reports[0].rows, reports[0].left) == (Status.BUDGET, 25, ROWS - 25)
    assert answers(spark, job).count() == 25
    assert requests(lambda: run()) == ROWS - 25
    assert answers(spark, job).where("result IS NULL").count() == 0


def test_an_interrupted_run_says_what_it_did(
    run: Run, job: BatchJob, spark: SparkSession, requests: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[gb.BatchReport] = []

    def interrupt(report: gb.BatchReport) -> None:
        seen.append(report)
        if report.rows:
            raise KeyboardInterrupt

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(chunk_rows=20, on_progress=interrupt)

    sent = requests(interrupted)
    assert seen[-1].rows == 20 == sent
    assert sent + requests(lambda: run()) == ROWS


@pytest.mark.parametrize("kind", ["query", "view", "path", "frame"])
def test_a_source_may_be_any_of_these(
    spark: SparkSession, run: Run, job: BatchJob, lakes: str, tmp_path: Path, kind: str
) -> None:
    frame = spark.table(lakes).where("id < 3")
    frame.createOrReplaceTempView("few_lakes")
    frame.write.parquet(str(tmp_path / "few.parquet"))
    sources: dict[str, str | DataFrame] = {
        "query": f"SELECT * FROM {lakes} WHERE id < 3",
        "view": "few_lakes",
        "path": str(tmp_path / "few.parquet"),
        "frame": frame,
    }
    assert run(job=replace(job, source=sources[kind])).rows == 3
    assert {row.id for row in answers(spark, job).collect()} == {0, 1, 2}


def test_whole_arguments_and_several_keys(
    spark: SparkSession, run: Run, job: BatchJob, schema: str, requests: Count
) -> None:
    asked = replace(
        job,
        source=f"SELECT id, IF(id = 1, NULL, 'de') AS a_key, body FROM {job.source} WHERE id < 4",
        keys=["ID", "a_key"],
        prompt=None,
        request="'Say yes or no: ' || body",
        return_type="BOOLEAN",
        model_parameters={"temperature": 0.1},
        request_tags="map('lake', CAST(id AS STRING))",
    )
    assert requests(lambda: run(job=asked)) == 4
    rows = answers(spark, job).collect()
    assert {(row.id, row.a_key) for row in rows} == {(0, "de"), (1, None), (2, "de"), (3, "de")}
    assert dict(answers(spark, job).dtypes)["result"] == "boolean"
    tags = spark.table(f"{schema}.usage").select("request_tags").collect()
    assert {row.request_tags["lake"] for row in tags} == {"0", "1", "2", "3"}
    assert requests(lambda: run(job=asked)) == 0


def test_embeddings(spark: SparkSession, run: Run, job: BatchJob, requests: Count) -> None:
    asked = replace(job, endpoint="databricks-gte-large-en", prompt="{body}")
    report = run(job=asked)
    rows = answers(spark, job).collect()
    assert len(rows) == ROWS == report.rows
    assert all(len(row.result) > 1 and row.event_id is None for row in rows)
    assert requests(lambda: run(job=asked)) == 0


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
        ({"keys": ["a key"], "source": "SELECT 1 AS `a key`, 'x' AS body"}, "planned: .*INVALID_CHARACTERS"),
        ({"output": "a b"}, "output: 'a b' is not a table name"),
        ({"keys": ["body"], "source": "SELECT 1 AS id, 'x' AS body FROM range(2)"}, "keys: 2 rows of the source have"),
    ],
)
def test_a_wrong_job_sends_nothing(run: Run, job: BatchJob, requests: Count, changes: Any, message: str) -> None:
    def refused() -> None:
        with pytest.raises(ConfigError, match=message):
            run(job=replace(job, **changes))

    assert requests(refused) == 0


def test_the_table_of_something_else_is_left_alone(spark: SparkSession, run: Run, job: BatchJob, schema: str) -> None:
    spark.sql(f"CREATE TABLE {schema}.other (id BIGINT, text STRING) USING DELTA")
    with pytest.raises(ConfigError, match=r"is not what this job writes: no column result.*text is no column of"):
        run(job=replace(job, output=f"{schema}.other"))
    with pytest.raises(ConfigError, match="is the source itself"):
        run(job=replace(job, output=str(job.source)))
    spark.sql(f"CREATE TABLE {schema}.answers_pending (id BIGINT) USING DELTA")
    with pytest.raises(ConfigError, match="it is not a batch job's"):
        run()


def test_details_are_to_be_had_in_sql_too(spark: SparkSession, register: Any) -> None:
    gateway = register()
    row = spark.sql(f"SELECT ai_query('{MODEL}', 'Say hi', failOnError => false, details => true) AS a").first()
    assert row is not None
    gateway.usage.flush()
    (record,) = spark.table(gateway.usage.table).collect()
    assert (row.a.errorMessage, row.a.errorKind) == (None, None)
    assert (row.a.eventId, row.a.inputTokens) == (record.invocation_id, record.input_tokens)
    with pytest.raises(Exception, match="details of ai_query is invalid: it needs failOnError => false"):
        spark.sql(f"SELECT ai_query('{MODEL}', 'Say hi', details => true)")


def test_a_token_that_expires_in_mid_job_fails_no_row(
    spark: SparkSession, job: BatchJob, config: gb.GatewayConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens hold for two seconds, and half a second of that passes with each request."""
    settings = Settings(port=0, token=TOKEN, token_lifetime_s=2, latency_ms=500, ledger=tmp_path / "oauth.sqlite")
    with running(settings) as server:
        for name, value in {"HOST": server.host, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": TOKEN}.items():
            monkeypatch.setenv(f"DATABRICKS_{name}", value)
        changes = {"host": server.host, "token": SecretStr("databricks-sdk"), "max_concurrency": 4}
        report = run_batch(spark, job, config.model_copy(update=changes))
    assert (report.rows, report.failed_rows) == (ROWS, 0)
    assert report.seconds > 3 * 2
    assert TOKEN not in answers(spark, job)._jdf.queryExecution().toString()


def test_one_run_of_an_output_at_a_time(run: Run, requests: Count) -> None:
    def begin_another(report: gb.BatchReport) -> None:
        with pytest.raises(ConfigError, match=r"another run of .* is under way"):
            run()

    assert requests(lambda: run(on_progress=begin_another)) == ROWS
    assert run().planned == 0


def test_a_stream_runs_the_job_on_each_micro_batch(
    spark: SparkSession, job: BatchJob, config: gb.GatewayConfig, requests: Count, schema: str, tmp_path: Path
) -> None:
    spark.table(str(job.source)).where("id < 20").write.format("delta").saveAsTable(f"{schema}.growing")

    def answer(rows: DataFrame, _: int) -> None:
        gb.run_batch(rows.sparkSession, replace(job, source=rows), config)

    def stream(checkpoint: str) -> None:
        rows = spark.readStream.option("maxFilesPerTrigger", 1).table(f"{schema}.growing")
        started = rows.writeStream.foreachBatch(answer).trigger(availableNow=True)
        started.option("checkpointLocation", str(tmp_path / checkpoint)).start().awaitTermination()

    assert requests(lambda: stream("first")) == 20
    assert requests(lambda: stream("first")) == 0
    spark.table(str(job.source)).where("id >= 20 AND id < 30").write.format("delta").mode("append").saveAsTable(
        f"{schema}.growing"
    )
    assert requests(lambda: stream("first")) == 10
    assert requests(lambda: stream("second")) == 0, "a stream that begins anew finds the answers in the output"
    assert spark.table(job.output).where("result IS NOT NULL").count() == 30


def test_a_stream_as_the_source_is_refused(spark: SparkSession, job: BatchJob, config: gb.GatewayConfig) -> None:
    stream = spark.readStream.table(str(job.source))
    with pytest.raises(ConfigError, match=r"is a stream: .*foreachBatch"):
        gb.run_batch(spark, replace(job, source=stream), config)
