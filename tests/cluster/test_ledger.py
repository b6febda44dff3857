"""The ledger of a query over two hosts, whatever dies."""

from __future__ import annotations

import threading

import pytest

from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.cluster.conftest import MODEL, OnCluster, Register
from tests.cluster.standalone import HOSTS, kill, tree
from tests.waiting import wait_until


def test_both_hosts_send_and_the_ledger_reconciles(register: Register) -> None:
    on = register()
    rows = on.spark.range(0, 400, 1, 4).selectExpr("id", f"ai_query('{MODEL}', 'Lake ' || id) AS answer").collect()
    assert [row.id for row in rows] == list(range(400))
    assert all(row.answer for row in rows)
    assert on.classes() == {}
    sent = on.requests_by_host()
    assert set(sent) == set(HOSTS)
    assert sum(sent.values()) == 400


def test_hosts_share_no_state(register: Register) -> None:
    on = register()
    on.spark.range(0, 40, 1, 2).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id)").collect()
    application = on.spark.sparkContext.applicationId
    for host in on.cluster.hosts:
        assert list(host.folder.glob(f"gateway_batch-*/{application}/slots-*")), host.name


@pytest.mark.parametrize("victim", ["its JVM", "all of its processes"])
def test_a_killed_executor_loses_no_record(register: Register, victim: str) -> None:
    on = register(max_concurrency=16)
    on.spark.range(0, 2, 1, 2).selectExpr(f"ai_query('{MODEL}', 'to start the workers ' || id)").collect()
    on.server.configure(latency_ms=200)
    frame = on.spark.range(0, 600, 1, 4).selectExpr("id", f"ai_query('{MODEL}', 'Lake ' || id) AS answer")
    killer = threading.Thread(target=lambda: kill_an_executor_at_work(on, whole=victim != "its JVM"))
    killer.start()
    rows = frame.collect()
    killer.join()
    assert sorted(row.id for row in rows) == list(range(600))
    assert all(row.answer for row in rows)
    found = on.classes()
    assert classes_reconcile(found)
    open_outcomes = found.get("unknown_resolved", 0) + found.get("never_sent", 0)
    assert 0 < open_outcomes <= 32
    unknown = on.spark.table(on.gateway.usage.table).where("client_metadata.outcome = 'unknown'").count()
    assert (unknown > 0) == (victim != "its JVM"), "without its JVM a worker still records what was in flight"


def test_executors_that_are_removed_right_after_an_action_lose_no_record(register: Register) -> None:
    on = register(max_concurrency=16)
    rows = on.spark.range(0, 300, 1, 6).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id) AS answer").collect()
    for host in on.cluster.hosts:
        for executor in host.executors():
            for pid in tree(executor):
                kill(pid)
    assert len(rows) == 300
    assert on.classes() == {}
    assert on.spark.table(on.gateway.usage.table).count() == 300


def test_what_a_host_that_died_had_written_is_copied_by_its_next_processes(register: Register) -> None:
    """All processes of a host end in mid-query, its driver's spool folder with nothing of theirs in it."""
    on = register(max_concurrency=16, spark={"spark.task.maxFailures": "8"})
    on.spark.range(0, 2, 1, 2).selectExpr(f"ai_query('{MODEL}', 'to start the workers ' || id)").collect()
    on.server.configure(latency_ms=5_000)
    frame = on.spark.range(0, 32, 1, 2).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id) AS answer")
    query = threading.Thread(target=frame.collect)
    query.start()
    wait_until(lambda: on.server.stats()["in_flight"] == 32)
    (executor,) = on.cluster.hosts[1].executors()
    for pid in tree(executor):
        kill(pid)
    query.join()
    executors = on.spark.sparkContext._jsc.sc().getExecutorMemoryStatus  # and the driver
    wait_until(lambda: executors().size() == 1 + len(HOSTS))
    on.server.configure(latency_ms=200)
    on.spark.range(0, 8, 1, 8).selectExpr(f"ai_query('{MODEL}', 'Pond ' || id)").collect()
    found = on.classes()
    assert classes_reconcile(found)
    assert 0 < found.get("unknown_resolved", 0) + found.get("never_sent", 0) <= 16


def kill_an_executor_at_work(on: OnCluster, *, whole: bool) -> None:
    wait_until(lambda: on.server.stats()["requests"] > 100)
    (executor,) = on.cluster.hosts[1].executors()
    for pid in tree(executor) if whole else [executor]:
        kill(pid)
