"""A gateway that is away for 20 s in the middle of a query, and one of which a part of the answers goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.spark.ledger.reconcile import classes_reconcile
from tests.spark.conftest import MODEL, TOKEN

ROWS, DOWN_S = 10_000, 20.0


class Server:
    """A gateway that can go and come back at the same address, with the same ledger."""

    def __init__(self, folder: Path) -> None:
        self._ledger = folder / "ledger.sqlite"
        self._stack = ExitStack()
        self.now = self._start(0)
        self.requests = 0

    def _start(self, port: int) -> RunningGateway:
        settings = Settings(port=port, token=TOKEN, ledger=self._ledger, latency_ms=50)
        return self._stack.enter_context(running(settings))

    def go(self) -> None:
        self.requests += int(self.now.stats()["requests"])
        self._stack.close()

    def come_back(self) -> None:
        self.now = self._start(int(self.now.host.rsplit(":", 1)[1]))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


def refuse(server: Server) -> None:
    server.now.configure(faults=[{"status": 503}])


def hang_up(server: Server) -> None:
    server.now.configure(faults=[{"disconnect": True}])


def mend(server: Server) -> None:
    server.now.configure(faults=[])


def start(spark: SparkSession, server: Server, folder: Path, found: list[Any]) -> tuple[gb.Gateway, threading.Thread]:
    config = gb.GatewayConfig.from_env(
        host=server.now.host,
        token=TOKEN,
        flush_interval=0,
        spool_dir=str(folder / "spool"),
        usage_table=f"t_{abs(hash(str(folder))):x}.usage",
    )
    gateway = gb.register_ai_query(spark, config)
    call = f"ai_query('{MODEL}', 'Lake ' || id, failOnError => false)"
    query = spark.range(0, ROWS, 1, 2).selectExpr(f"{call} AS a").where("a.result IS NULL")
    thread = threading.Thread(target=lambda: found.append(query.count()))
    thread.start()
    return gateway, thread


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("go", "come_back"),
    [
        pytest.param(Server.go, Server.come_back, id="its process ends"),
        pytest.param(refuse, mend, id="503"),
        pytest.param(hang_up, mend, id="hangs up"),
    ],
)
def test_all_rows_are_answered_in_the_end_with_few_further_requests(
    spark: SparkSession,
    server: Server,
    tmp_path: Path,
    go: Callable[[Server], None],
    come_back: Callable[[Server], None],
) -> None:
    unanswered: list[int] = []
    gateway, query = start(spark, server, tmp_path, unanswered)
    try:
        while server.now.stats()["requests"] < ROWS // 4:
            time.sleep(0.05)
        go(server)
        time.sleep(DOWN_S)
        assert query.is_alive(), "the query ended before the gateway came back"
        come_back(server)
        query.join(240)
        assert unanswered == [0]
        requests = server.requests + int(server.now.stats()["requests"])
        print(f"{requests / ROWS:.4f} requests a row")
        assert requests <= 1.02 * ROWS
        gateway.usage.flush()
        attempts = spark.table(gateway.usage.table).where("client_metadata.error_kind IS NOT NULL").count()
        print(f"{attempts} attempts failed")
        if go is not Server.go:  # one that ends doesn't write down what it was at
            classes = gateway.usage.reconcile(server.now.ledger).groupBy("class").count().collect()
            assert classes_reconcile({row["class"]: row["count"] for row in classes})
    finally:
        gateway.close()


@pytest.mark.timeout(600)
def test_rows_whose_answers_go_wrong_by_chance_are_answered(
    spark: SparkSession, server: Server, tmp_path: Path
) -> None:
    wrong = ({"status": 500}, {"disconnect": True}, {"truncate": True})
    server.now.configure(faults=[{"share": 0.05 / 3, **what} for what in wrong])
    unanswered: list[int] = []
    gateway, query = start(spark, server, tmp_path, unanswered)
    try:
        query.join(300)
        assert unanswered == [0]
        attempts = int(server.now.stats()["requests"]) / ROWS
        print(f"{attempts:.4f} attempts a row")
        assert 1.03 <= attempts <= 1.2
        gateway.usage.flush()
        classes = gateway.usage.reconcile(server.now.ledger).groupBy("class").count().collect()
        assert classes_reconcile({row["class"]: row["count"] for row in classes})
    finally:
        gateway.close()
