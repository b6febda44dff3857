"""A standalone Spark cluster of two hosts, 127.0.0.1 and 127.0.0.2, that share no folder of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyspark

from tests.quick_start import QUICK_START

HOSTS = ("127.0.0.1", "127.0.0.2")
_START_S = 120
_ANY_UI_PORT = ("--webui-port", "0")


@dataclass(frozen=True)
class Host:
    """A worker of the cluster, with one core.

    Attributes:
        name: its address, which Spark has for its name.
        folder: its own temporary folder, in which `ai_query` keeps what a host's processes share.
        pid: of the worker's process; its executors are children of that.
    """

    name: str
    folder: Path
    pid: int

    def executors(self) -> list[int]:
        """Process ids of the executors that run on it."""
        return children(self.pid, "CoarseGrainedExecutorBackend")


@dataclass(frozen=True)
class Cluster:
    """Attributes: `master` is its URL; `hosts` are its workers."""

    master: str
    hosts: tuple[Host, ...]


@contextmanager
def cluster_running(folder: Path) -> Iterator[Cluster]:
    """Starts a master and two workers; ends them, and what they started, at the end."""
    with ExitStack() as stack:
        started = _start(stack, folder / "master", HOSTS[0], "master.Master", "--port", "0", *_ANY_UI_PORT)
        master = _wait_for(started, r"Starting Spark master at (spark://\S+)")
        resources = ["--cores", "1", "--memory", "1g"]
        workers = [
            _start(stack, folder / host, host, "worker.Worker", *resources, *_ANY_UI_PORT, master) for host in HOSTS
        ]
        for worker in workers:
            _wait_for(worker, r"(Successfully registered) with master")
        hosts = [Host(name, worker.folder, worker.process.pid) for name, worker in zip(HOSTS, workers, strict=True)]
        yield Cluster(master, tuple(hosts))


def children(pid: int, name: str = "") -> list[int]:
    """Process ids of a process' children that have a word in their command line."""
    columns = [word for column in ("pid=", "ppid=", "args=") for word in ("-o", column)]
    found = subprocess.run(["ps", "-A", "-ww", *columns], capture_output=True, text=True, check=True).stdout
    processes = (line.split(maxsplit=2) for line in found.splitlines())
    return [int(child) for child, parent, *command in processes if int(parent) == pid and name in "".join(command)]


def tree(pid: int) -> list[int]:
    """A process and all that it started, parents first."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


@dataclass(frozen=True)
class _Started:
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path


def _start(stack: ExitStack, folder: Path, host: str, daemon: str, *arguments: str) -> _Started:
    """One of Spark's daemons at an address, with temporary, work and local folders of its own."""
    folder.mkdir(parents=True)
    home = Path(pyspark.__file__).parent
    own = {name: str(folder) for name in ("TMPDIR", "SPARK_LOCAL_DIRS", "SPARK_WORKER_DIR")}
    common = {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "SPARK_DAEMON_JAVA_OPTS": QUICK_START}
    environment = {**os.environ, **common, **own, "SPARK_LOCAL_IP": host, "SPARK_DAEMON_MEMORY": "256m"}
    log = folder / "log"
    command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{daemon}", "--host", host, *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    stack.callback(_end, process)
    return _Started(process, folder, log)


def _end(process: subprocess.Popen[bytes]) -> None:
    below = tree(process.pid)[1:]
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in below:
        kill(pid)


def kill(pid: int) -> None:
    """Kills a process, if there is one."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _wait_for(started: _Started, line: str) -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and started.process.poll() is None:
        if found := re.search(line, started.log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"not in the log of {' '.join(map(str, started.process.args))}: {line!r}\n{started.log}")  # type: ignore[arg-type]
