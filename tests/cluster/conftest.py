"""One cluster for the folder; a session on it for tests with the same Spark settings; a ledger for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.cluster.standalone import Cluster, cluster_running
from tests.quick_start import QUICK_START
from tests.redis_server import RedisServer, redis_running

TOKEN = "cluster-tests-token"
MODEL = "databricks-gpt-5-4"

SETTINGS = {
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.executor.memory": "768m",
    "spark.executor.extraJavaOptions": QUICK_START,
    "spark.driver.extraJavaOptions": QUICK_START,
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # no task before both hosts are there
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
}


@dataclass(frozen=True)
class TaskSeen:
    """A task as Spark's scheduler saw it."""

    stage: int
    partition: int
    attempt: int
    host: str
    speculative: bool
    status: str


@dataclass(frozen=True)
class OnCluster:
    """A session on the cluster with `ai_query` registered, and the gateway that it sends to."""

    spark: SparkSession
    gateway: gb.Gateway
    server: RunningGateway
    cluster: Cluster

    def tasks(self) -> list[TaskSeen]:
        """All tasks of the session so far."""
        store = self.spark.sparkContext._jsc.sc().statusStore()
        stages = _items(store.stageList(None, False, False, _doubles(self.spark), None))
        seen = [(stage, task) for stage in stages for task in _items(store.taskList(stage.stageId(), 0, 10_000))]
        return [
            TaskSeen(
                stage.stageId(), task.partitionId(), task.attempt(), task.host(), task.speculative(), task.status()
            )
            for stage, task in seen
        ]

    def requests_by_host(self) -> dict[str, int]:
        """How many requests of the usage table each host sent."""
        host = {(task.stage, task.partition, task.attempt): task.host for task in self.tasks()}
        counts: dict[str, int] = {}
        columns = [f"client_metadata.{name}" for name in ("stage_id", "partition_id", "task_attempt")]
        for row in self.spark.table(self.gateway.usage.table).select(*columns).collect():
            name = host[row.stage_id, row.partition_id, row.task_attempt]
            counts[name] = counts.get(name, 0) + 1
        return counts

    def classes(self) -> dict[str, int]:
        """Flushes, and counts the requests that are not simply matched by their class."""
        self.gateway.usage.flush()
        rows = self.gateway.usage.reconcile(self.server.ledger).groupBy("class").count().collect()
        return {row["class"]: row["count"] for row in rows}


def _items(sequence: Any) -> Iterator[Any]:
    return (sequence.apply(index) for index in range(sequence.size()))


def _doubles(spark: SparkSession) -> Any:
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    return gateway.new_array(gateway.jvm.double, 0)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_running(tmp_path_factory.mktemp("cluster")) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis"), password="cluster-secret") as running_redis:
        yield running_redis


class Sessions:
    """The session on the cluster; another takes its place when other settings are asked for."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._settings: dict[str, str] | None = None
        self._spark: SparkSession | None = None

    def get(self, settings: dict[str, str]) -> SparkSession:
        if self._spark is None or settings != self._settings:
            self.stop()
            self._spark = gb.local_session(self._folder, self._cluster.master, settings={**SETTINGS, **settings})
            self._settings = settings
        return self._spark

    def stop(self) -> None:
        if self._spark is not None:
            self._spark.stop()
            self._spark = None


@pytest.fixture(scope="session")
def sessions(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    opened = Sessions(cluster, tmp_path_factory.mktemp("spark") / "warehouse")
    yield opened
    opened.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite")) as gateway:
        yield gateway


Register = Callable[..., OnCluster]


@pytest.fixture
def register(sessions: Sessions, cluster: Cluster, server: RunningGateway, tmp_path: Path) -> Iterator[Register]:
    """Registers `ai_query` on the cluster: `register(max_concurrency=8, spark={"spark.speculation": "true"})`.

    `spark` are settings of the session, the rest of the registration; its spool and usage table are the test's own.
    """
    opened: list[gb.Gateway] = []

    def register_with(*, spark: dict[str, str] | None = None, **settings: Any) -> OnCluster:
        session = sessions.get(spark or {})
        own = {
            "host": server.host,
            "token": TOKEN,
            "flush_interval": 0,
            "spool_dir": str(tmp_path / "spool"),
            "usage_table": f"t_{abs(hash(str(tmp_path))):x}.usage",
        }
        opened.append(gb.register_ai_query(session, gb.GatewayConfig.from_env(**{**own, **settings})))
        return OnCluster(session, opened[-1], server, cluster)

    yield register_with
    for gateway in opened:
        gateway.close()
