"""What the faults of a run are done to."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.gateway import Usage
from gateway_batch.usage.shipping import local_folder_for
from tests.faults.campaign.drain_process import DrainProcess, say
from tests.faults.campaign.places import Place
from tests.faults.campaign.plan import OF_DISKS, Plan
from tests.redis_server import RedisServer


@dataclass
class Target:
    """A query on its way, its spool folder and its drains.

    Attributes:
        drains: processes that are about to be ready, one for each fault that wants one.
        redis: that the limits and answers are shared through, if there is one.
        driver: the process whose query it is, if it is not this one.
        quiet: held by drains that faults start, so that a file is not taken away under one.
        disk: held by what ails the folder's disk, one thing at a time, and by what puts a file there.
        redis_is_here: held by what puts something else in its place, one thing at a time.
        kills: processes that were killed with requests in flight.
        wrong: what was seen to be wrong so far.
        strangers: files that were put into the spool and are not of it.
    """

    plan: Plan
    place: Place
    folder: Path
    spool_dir: Path
    server: RunningGateway
    gateway: gb.Gateway
    drains: list[DrainProcess]
    redis: RedisServer | None = None
    driver: subprocess.Popen[bytes] | None = None
    quiet: threading.Lock = field(default_factory=threading.Lock)
    disk: threading.Lock = field(default_factory=threading.Lock)
    redis_is_here: threading.Lock = field(default_factory=threading.Lock)
    kills: int = 0
    wrong: list[str] = field(default_factory=list)
    strangers: set[Path] = field(default_factory=set)

    @property
    def spark(self) -> SparkSession:
        """The campaign's session."""
        return self.place.spark

    @property
    def usage(self) -> Usage:
        """The registration's."""
        return self.gateway.usage

    @property
    def table_folder(self) -> Path:
        """Where the table's files are, in a warehouse on this machine."""
        warehouse = urlparse(self.spark.conf.get("spark.sql.warehouse.dir") or "").path
        schema, _, name = self.usage.table.partition(".")
        return Path(unquote(warehouse)) / f"{schema}.db" / name

    def written_to(self) -> list[Path]:
        """The folders that workers write to: the spool folder, or on a cluster a folder of each host."""
        if self.place.cluster is None:
            return [self.spool_dir]
        name = local_folder_for(self.spool_dir).name
        return [path for host in self.place.cluster.hosts for path in host.folder.glob(f"gateway_batch-*/spool/{name}")]

    @property
    def most_unknown(self) -> int:
        """How many requests may have been in flight at the kills."""
        return self.kills * self.plan.concurrency

    def missing_strangers(self) -> list[str]:
        """What is wrong if a stranger's file is gone."""
        gone = [path.name for path in sorted(self.strangers) if not os.path.lexists(path)]
        return [f"strangers are gone: {', '.join(gone)}"] if gone else []

    def flush(self) -> None:
        """Flushes once, and notes it if it ends in a wrong way."""
        self.note_drain(say(self.usage.flush))

    def note_drain(self, answer: str) -> None:
        """Notes what a drain said, if it is wrong: a LedgerError is right where a disk doesn't work."""
        failed_rightly = self.plan.kinds & OF_DISKS and answer.startswith("LedgerError: ")
        if not answer.isdigit() and not failed_rightly:
            self.wrong.append(f"a drain said: {answer[:300] or 'nothing'}")
