"""The server and the control as child processes."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.latency import Latency
from benchmarks.load import PATH, Load

_STOP_WITHIN_S = 10


@dataclass(frozen=True, slots=True)
class Served:
    """The server's counters over one run.

    Attributes:
        requests: that arrived, refused ones too.
        most_in_flight: at once.
        cpu_s: the server's own CPU seconds.
        distinct: different bodies; 0 unless the server inspects them.
        passed: by the second since the first, where there is a rate limit.
        refused: likewise.
    """

    requests: int
    most_in_flight: int
    cpu_s: float
    distinct: int
    passed: list[int]
    refused: list[int]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    pid: int

    @property
    def host(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Sets the counters to zero."""
        self._ask("POST", "/reset")

    def served(self) -> Served:
        """The counters since the last reset."""
        return Served(**self._ask("GET", "/stats"))

    def _ask(self, method: str, path: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())


@contextmanager
def running_server(latency: Latency, *, rate: float | None = None, inspect: bool = False) -> Iterator[Server]:
    """A server of that latency. It ends with the block, and with this process.

    Args:
        latency: of its answers.
        rate: requests a second that it lets through, one second's worth at once; None: no limit.
        inspect: whether it looks at bodies.
    """
    command = [sys.executable, "-m", "benchmarks.server", *latency.arguments()]
    command += [] if rate is None else ["--rate", str(rate)]
    command += ["--inspect"] if inspect else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        word, _, port = process.stdout.readline().partition(" ")
        if word != "ready":
            raise RuntimeError("the server did not start; what it printed above says why")
        try:
            yield Server(int(port), process.pid)
        finally:
            process.stdin.close()
            process.wait(_STOP_WITHIN_S)


def run_control(server: Server, load: Load) -> tuple[float, float]:
    """Runs the raw loop; returns its seconds and its CPU seconds."""
    return _run_control(server, load.rows, ["--lanes", str(load.in_flight)])


def run_paced_control(server: Server, rows: int, rate: float) -> tuple[float, float]:
    """Runs the raw loop at a given rate; returns its seconds and its CPU seconds."""
    return _run_control(server, rows, ["--rate", str(rate)])


def _run_control(server: Server, rows: int, options: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.control", "--url", server.host + PATH, "--rows", str(rows), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout)
    return result["seconds"], result["cpu_s"]
