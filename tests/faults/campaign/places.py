"""Where runs take place: a session that is reused from run to run, on this machine or on a cluster of two hosts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.spark.session.jvm import gateway_of
from tests.cluster.standalone import Cluster, cluster_running
from tests.faults.campaign.clock import Clock
from tests.faults.campaign.disks import can_mount
from tests.faults.campaign.plan import CLOCK_JUMP, CLUSTER, KILL_DRIVER, KINDS, LOCAL, OF_DISKS
from tests.quick_start import QUICK_START

SETTINGS = {
    "spark.log.level": "OFF",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",  # a run's ledger has a few hundred rows
    "spark.databricks.delta.snapshotPartitions": "1",
}
_ON_CLUSTER = {
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.executor.memory": "768m",
    "spark.executor.extraJavaOptions": QUICK_START,
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.task.maxFailures": "100",
}
_EXECUTORS_BACK_WITHIN_S = 60


@dataclass(frozen=True)
class Place:
    """A session, and what belongs to where it runs.

    Attributes:
        folder: of what runs leave.
        clock: of its workers; None: theirs is the true one.
        cluster: its hosts; None: this process.
    """

    spark: SparkSession
    folder: Path
    clock: Clock | None = None
    cluster: Cluster | None = None
    kinds: frozenset[str] = field(default=frozenset())

    @property
    def environment(self) -> Mapping[str, str]:
        """Of processes that are to have its clock."""
        return self.clock.environment if self.clock else {}

    def restore(self) -> None:
        """Sets the clock right, and waits until the executors are back."""
        if self.clock is not None:
            self.clock.shift(0)
        if self.cluster is None:
            return
        until = time.monotonic() + _EXECUTORS_BACK_WITHIN_S
        hosts = len(self.cluster.hosts)
        while not all(host.executors() for host in self.cluster.hosts) or self._executors() < hosts:
            if time.monotonic() > until:
                raise RuntimeError("the executors did not come back")
            time.sleep(0.1)

    def _executors(self) -> int:
        """How many the driver has heard of; it counts itself, too."""
        context = gateway_of(self.spark).jvm.org.apache.spark.SparkContext.getOrCreate()
        return int(context.getExecutorMemoryStatus().size()) - 1


@contextlib.contextmanager
def local_place(folder: Path) -> Iterator[Place]:
    """A session in this process; faults of disks only in a namespace of its own."""
    clock = Clock(folder / "clock")
    kinds = frozenset(KINDS[LOCAL]) - (frozenset() if can_mount() else OF_DISKS)
    with _session(folder, "local[2,4]", worker_settings(clock.environment)) as spark:
        yield Place(spark, folder, clock, kinds=kinds)


@contextlib.contextmanager
def cluster_place(folder: Path) -> Iterator[Place]:
    """A session on a standalone cluster of two hosts."""
    with (
        cluster_running(folder / "cluster") as cluster,
        _session(folder, cluster.master, _ON_CLUSTER) as spark,
    ):
        yield Place(spark, folder, cluster=cluster, kinds=frozenset(KINDS[CLUSTER]))


def place_of_session(spark: SparkSession, folder: Path) -> Place:
    """A local session that others use too: its workers' clock stays, and no disk is mounted."""
    return Place(spark, folder, kinds=frozenset(KINDS[LOCAL]) - {*OF_DISKS, CLOCK_JUMP, KILL_DRIVER})


def worker_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings that hand an environment to Python workers."""
    return {f"spark.executorEnv.{name}": value for name, value in environment.items()}


@contextlib.contextmanager
def _session(folder: Path, master: str, settings: Mapping[str, str]) -> Iterator[SparkSession]:
    spark = gb.local_session(folder / "warehouse", master, settings={**SETTINGS, **settings})
    try:
        yield spark
    finally:
        spark.stop()


PLACES = {LOCAL: local_place, CLUSTER: cluster_place}
