"""Every request of a Spark Connect session has one row."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.delta_tables.spark_writer import OvertakenError, SparkDeltaWriter
from gateway_batch.spark.ledger.usage_table import create_usage_table
from gateway_batch.usage.manifests import CommitId
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.connect.conftest import MODEL, TOKEN, Register, make_config

ROWS = 4


@pytest.fixture(scope="module")
def gateway(
    spark: SparkSession, shared_server: RunningGateway, echo_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gb.Gateway]:
    """One registration for all tests, which know their rows by a tag."""
    config = make_config(
        shared_server,
        echo_server,
        spool_dir=str(tmp_path_factory.mktemp("spool")),
        usage_table="connect_ledger.usage",
        request_tags={"team": "search"},
        workspace_id="123",
    )
    gateway = gb.register_ai_query(spark, config)
    yield gateway
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)  # each test has flushed what it looks at
        gateway.close()


def ask(spark: SparkSession, test: str, function: str = "ai_query") -> None:
    """Sends a request a row, each with the test's tag."""
    call = f"{function}('{MODEL}', 'Lake ' || id || ' is deep.', requestTags => map('test', '{test}'))"
    spark.sql(f"SELECT {call} FROM range({ROWS})").collect()


def rows_of(spark: SparkSession, gateway: gb.Gateway, test: str) -> DataFrame:
    return spark.table(gateway.usage.table).where(F.col("request_tags").getItem("test") == test)


def classes(gateway: gb.Gateway, ledger: Path) -> dict[str, int]:
    """Without what other tests sent to the shared gateway."""
    rows = gateway.usage.reconcile(ledger).groupBy("class").count().collect()
    return {row["class"]: row["count"] for row in rows if row["class"] != "missing"}


def test_flush_commits_each_request_once(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> None:
    server.configure(faults=[{"match": "Lake 2 ", "status": 500, "times_per_prompt": 1}])
    ask(spark, "once")
    lakes = spark.range(ROWS).select(F.concat(F.lit("Lake "), "id", F.lit(" is deep.")).alias("lake"))
    lakes.select(gb.functions.ai_query(MODEL, "lake", requestTags={"test": "once", "by": "column"})).collect()
    sent = server.stats()["requests"]
    assert sent == 2 * ROWS + 1
    assert gateway.usage.flush() == sent
    assert gateway.usage.flush() == 0
    rows = rows_of(spark, gateway, "once")
    assert rows.schema.names == [*MIRRORED_COLUMNS, "client_metadata"]
    found = rows.select("client_metadata.event_id", "request_tags").collect()
    assert len({row.event_id for row in found}) == len(found) == sent
    assert len([row for row in found if row.request_tags.get("by") == "column"]) == ROWS
    assert classes(gateway, server.ledger) == {}


def test_a_row_says_who_what_and_where(spark: SparkSession, gateway: gb.Gateway) -> None:
    ask(spark, "who")
    gateway.usage.flush()
    row = rows_of(spark, gateway, "who").where("client_metadata.partition_id = 0").first()
    assert row is not None
    assert row.workspace_id == "123"
    assert row.request_tags == {"team": "search", "test": "who"}
    assert row.invocation_metadata.source == "AI_QUERY"
    (user,) = spark.sql("SELECT current_user()").collect()
    assert row.requester == user[0]
    assert row.client_metadata.application_id == spark.conf.get("spark.app.id")
    assert row.client_metadata.query_execution_id is not None
    assert row.client_metadata.stage_id is not None


def test_two_flushes_at_once_commit_each_request_once(spark: SparkSession, gateway: gb.Gateway) -> None:
    ask(spark, "two flushes")
    committed: list[int] = []
    threads = [threading.Thread(target=lambda: committed.append(gateway.usage.flush())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(committed) == [0, ROWS]
    assert rows_of(spark, gateway, "two flushes").count() == ROWS


@pytest.mark.parametrize("step", ["before the commit", "after the commit"])
def test_a_drain_that_dies_is_finished_by_the_next(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ask(spark, f"dies {step}")

    class DeathError(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise DeathError

    append = SparkDeltaWriter.append

    def append_and_die(*arguments: Any, **options: Any) -> None:
        append(*arguments, **options)
        raise DeathError

    with monkeypatch.context() as patch:
        patch.setattr(SparkDeltaWriter, "append", die if step == "before the commit" else append_and_die)
        with pytest.raises(DeathError):
            gateway.usage.flush()
    assert gateway.usage.flush() == (ROWS if step == "before the commit" else 0)
    assert rows_of(spark, gateway, f"dies {step}").count() == ROWS


def test_a_drain_that_comes_second_adds_nothing(spark: SparkSession, gateway: gb.Gateway) -> None:
    ask(spark, "second")
    gateway.usage.flush()
    create_usage_table(spark, "connect_ledger.second")
    table = SparkDeltaWriter(spark, "connect_ledger.second")
    rows = [rows_of(spark, gateway, "second").limit(1).toArrow()]
    first, second = CommitId("mine", 1, 17), CommitId("mine", 1, 18)
    assert table.append(rows, first, None) == 1
    with pytest.raises(OvertakenError):
        table.append(rows, second, None)
    assert table.last_commit("mine") == first
    assert table.last_commit("another") is None
    assert table.append(rows, CommitId("mine", 2, 5), first) == 1
    with pytest.raises(OvertakenError):
        table.append(rows, CommitId("mine", 2, 6), first)
    assert spark.table("connect_ledger.second").count() == 2


def test_records_reach_the_table_without_a_call_by_the_warehouses_spool(
    spark: SparkSession, register: Register, folder: Path
) -> None:
    gateway = register("ask_model", flush_interval=0.5, usage_table="connect_ledger.usage", spool_dir=None)
    assert gateway.usage.spool_dir == folder / "warehouse" / "_gateway_batch" / "spool"
    ask(spark, "without a call", "ask_model")
    deadline = time.monotonic() + 60
    while gateway.usage.committed < ROWS and time.monotonic() < deadline:
        time.sleep(0.1)
    assert rows_of(spark, gateway, "without a call").count() == ROWS


def test_a_clients_records_reach_the_table_with_a_sessions_flush(
    gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    gateway.usage.flush()
    with gb.Client(gateway.config) as client:
        client.query(MODEL, "hello")
    assert gateway.usage.flush() == 1


def test_a_spool_folder_that_the_workers_do_not_share_is_refused(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "elsewhere"
    monkeypatch.setattr("secrets.token_hex", lambda _: "x")
    unlink = Path.unlink

    def unlink_nothing(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("probe-"):
            raise FileNotFoundError
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_nothing)
    with pytest.raises(gb.ConfigError, match=r"what the workers write to .*elsewhere is not seen here"):
        register(spool_dir=str(spool))


def test_a_spool_folder_that_the_workers_do_not_have_is_refused(
    spark: SparkSession, register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_batch.spark.ledger.drain.prepare", lambda _: None)
    with pytest.raises(gb.ConfigError, match=r"the workers can't write to .*: No such file or directory"):
        register(spool_dir=str(tmp_path / "elsewhere"))


def test_workers_of_another_version_are_refused(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_batch.spark.sql_functions.spool_probe.__version__", "9.9")
    with pytest.raises(gb.ConfigError, match=r"have gateway_batch 0\.1\.0, this process 9\.9"):
        register()


def test_a_run_is_shown_and_other_clients_requests_are_imported_once(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway
) -> None:
    ask(spark, "a run")
    gateway.usage.flush()
    execution = rows_of(spark, gateway, "a run").selectExpr("client_metadata.query_execution_id").distinct()
    (found,) = (
        spark.table(gateway.usage.table.replace(".usage", ".ai_query_runs"))
        .join(execution, "query_execution_id")
        .collect()
    )
    assert (found.rows, found.requests, found.attempts, found.functions) == (ROWS, ROWS, ROWS, ["ai_query"])
    assert found.cost_usd > 0
    with httpx.Client(base_url=server.host, trust_env=False) as agent:
        call = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        authorization = {"authorization": f"Bearer {TOKEN}"}
        agent.post("/ai-gateway/mlflow/v1/chat/completions", json=call, headers=authorization)
    assert gateway.usage.import_ledger(server.ledger) == 1
    assert gateway.usage.import_ledger(server.ledger) == 0
    assert classes(gateway, server.ledger) == {}
