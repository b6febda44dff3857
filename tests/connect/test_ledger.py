"""Every request of a Spark Connect session has one row."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.table_append import OvertakenError, SparkTable
from gateway_batch.usage.manifests import Mark
from gateway_batch.usage.record import MIRRORED_COLUMNS
from tests.connect.conftest import MODEL, TOKEN, Register

QUERY = f"SELECT ai_query('{MODEL}', text_column) FROM my_table"


def classes(gateway: gb.Gateway, ledger: Path) -> dict[str, int]:
    """Without what other tests sent to the shared gateway."""
    rows = gateway.usage.reconcile(ledger).groupBy("class").count().collect()
    return {row["class"]: row["count"] for row in rows if row["class"] != "missing"}


@pytest.mark.usefixtures("texts")
def test_flush_commits_each_request_once(spark: SparkSession, gateway: gb.Gateway, server: RunningGateway) -> None:
    server.configure(faults=[{"match": "Lake 7 ", "status": 500, "times_per_prompt": 1}])
    spark.sql(QUERY).collect()
    spark.table("my_table").select(gb.functions.ai_query(MODEL, "text_column", requestTags={"by": "column"})).collect()
    sent = server.stats()["requests"]
    assert sent == 81
    assert gateway.usage.flush() == sent
    assert gateway.usage.flush() == 0
    table = spark.table(gateway.usage.table)
    assert table.schema.names == [*MIRRORED_COLUMNS, "client_metadata"]
    assert table.select("client_metadata.event_id").distinct().count() == table.count() == sent
    assert table.where(F.col("request_tags").getItem("by") == "column").count() == 40
    assert classes(gateway, server.ledger) == {}


def test_a_row_says_who_what_and_where(spark: SparkSession, register: Register) -> None:
    gateway = register(request_tags={"team": "search"}, workspace_id="123")
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    gateway.usage.flush()
    row = spark.table(gateway.usage.table).first()
    assert row is not None
    assert row.workspace_id == "123"
    assert row.request_tags == {"team": "search"}
    assert row.invocation_metadata.source == "AI_QUERY"
    (user,) = spark.sql("SELECT current_user()").collect()
    assert row.requester == user[0]
    assert row.client_metadata.application_id == spark.conf.get("spark.app.id")
    assert row.client_metadata.query_execution_id is not None
    assert row.client_metadata.stage_id is not None
    assert row.client_metadata.partition_id == 0


@pytest.mark.usefixtures("texts")
def test_two_flushes_at_once_commit_each_request_once(spark: SparkSession, gateway: gb.Gateway) -> None:
    spark.sql(QUERY).collect()
    committed: list[int] = []
    threads = [threading.Thread(target=lambda: committed.append(gateway.usage.flush())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(committed) == [0, 40]
    assert spark.table(gateway.usage.table).count() == 40


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("step", ["before the commit", "after the commit"])
def test_a_drain_that_dies_is_finished_by_the_next(
    spark: SparkSession, gateway: gb.Gateway, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    spark.sql(QUERY).collect()

    class DeathError(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise DeathError

    append = SparkTable.append

    def append_and_die(*arguments: Any, **options: Any) -> None:
        append(*arguments, **options)
        raise DeathError

    with monkeypatch.context() as patch:
        patch.setattr(SparkTable, "append", die if step == "before the commit" else append_and_die)
        with pytest.raises(DeathError):
            gateway.usage.flush()
    assert gateway.usage.flush() == (40 if step == "before the commit" else 0)
    assert spark.table(gateway.usage.table).count() == 40


def test_a_drain_that_comes_second_adds_nothing(spark: SparkSession, gateway: gb.Gateway) -> None:
    spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    gateway.usage.flush()
    table = SparkTable(spark, gateway.usage.table)
    rows = [spark.table(gateway.usage.table).toArrow()]
    first, second = Mark("mine", 1, 17), Mark("mine", 1, 18)
    assert table.append(rows, first, None) == 1
    with pytest.raises(OvertakenError):
        table.append(rows, second, None)
    assert table.last_commit("mine") == first
    assert table.last_commit("another") is None
    assert table.append(rows, Mark("mine", 2, 5), first) == 1
    with pytest.raises(OvertakenError):
        table.append(rows, Mark("mine", 2, 6), first)
    assert spark.table(gateway.usage.table).count() == 3


@pytest.mark.usefixtures("texts")
def test_records_reach_the_table_without_a_call(spark: SparkSession, register: Register) -> None:
    gateway = register(flush_interval=0.5)
    spark.sql(QUERY).collect()
    deadline = time.monotonic() + 60
    while gateway.usage.committed < 40 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert spark.table(gateway.usage.table).count() == 40


def test_a_clients_records_reach_the_table_with_a_sessions_flush(
    spark: SparkSession, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_TOKEN", "none is needed by the echo server")
    gateway = register()
    with gb.Client(gateway.config) as client:
        client.query("echo", "hello")
    assert gateway.usage.flush() == 1


def test_the_spool_is_in_the_servers_warehouse_unless_it_is_set(register: Register, folder: Path) -> None:
    gateway = register(spool_dir=None)
    assert gateway.usage.spool_dir == folder / "warehouse" / "_gateway_batch" / "spool"


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
    monkeypatch.setattr("gateway_batch.spark.usage_drain.prepare", lambda _: None)
    with pytest.raises(gb.ConfigError, match=r"the workers can't write to .*: No such file or directory"):
        register(spool_dir=str(tmp_path / "elsewhere"))


def test_workers_of_another_version_are_refused(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_batch.spark.spool_probe.VERSION", "9.9")
    with pytest.raises(gb.ConfigError, match=r"have gateway_batch 0\.1\.0, this process 9\.9"):
        register()


@pytest.mark.usefixtures("texts")
def test_a_run_is_shown_and_other_clients_requests_are_imported_once(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway
) -> None:
    spark.sql(QUERY).collect()
    gateway.usage.flush()
    (found,) = spark.table(gateway.usage.table.replace(".usage", ".ai_query_runs")).collect()
    assert (found.rows, found.requests, found.attempts, found.functions) == (40, 40, 40, ["ai_query"])
    assert found.cost_usd > 0
    with httpx.Client(base_url=server.host, trust_env=False) as agent:
        call = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        authorization = {"authorization": f"Bearer {TOKEN}"}
        agent.post("/ai-gateway/mlflow/v1/chat/completions", json=call, headers=authorization)
    assert gateway.usage.import_ledger(server.ledger) == 1
    assert gateway.usage.import_ledger(server.ledger) == 0
    assert classes(gateway, server.ledger) == {}
