"""Runs the gateway as a child process, for tests and demonstrations."""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from gateway_batch.devgateway.ask import JsonObject
from gateway_batch.devgateway.control import PREFIX
from gateway_batch.devgateway.local.weights import check_packages, provide_weights
from gateway_batch.devgateway.server import GRACE_S
from gateway_batch.devgateway.settings import Models, Settings, check_exposure
from gateway_batch.devgateway.state import LEDGER_NAME
from gateway_batch.errors import ConfigError

_START_S = 90
_URL = re.compile(r"listening on (http://\S+)")


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway in another process.

    Attributes:
        host: its base URL, `http://127.0.0.1:PORT`; the routes are under `/ai-gateway`.
        ledger: its SQLite file, which may be read while it runs.
        token: what it wants to see.
        pid: of its process.
    """

    host: str
    ledger: Path
    pid: int
    token: str | None = field(default=None, repr=False)

    def stats(self) -> JsonObject:
        """Counts since the last reset."""
        return self._call("GET", "stats")

    def reset(self) -> None:
        """Starts counts, limits and fault scripts again; settings and ledger stay."""
        self._call("POST", "reset")

    def configure(self, *, service: str | None = None, **patch: Any) -> None:
        """Changes `latency_ms`, `stream_pause_ms`, `rpm`, `tpm` or `faults`, of one service or of all.

        Raises:
            ConfigError: it refused, with its reason.
        """
        self._call("POST", "settings", {"service": service, **patch})

    def _call(self, method: str, route: str, body: JsonObject | None = None) -> JsonObject:
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        request = Request(f"{self.host}{PREFIX}/{route}", orjson.dumps(body or {}), headers, method=method)
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
                found: JsonObject = orjson.loads(answer.read())
                return found
        except HTTPError as error:
            with error:
                raise ConfigError(orjson.loads(error.read())["message"]) from error
        except URLError as error:
            raise ConfigError(f"the development gateway at {self.host} does not answer: {error.reason}") from error


@contextmanager
def running(settings: Settings) -> Iterator[RunningGateway]:
    """Starts a gateway, waits until it listens, and stops it at the end.

    It ends with this process, however this one ends. Without a ledger in the settings it writes one to a
    temporary folder that goes at the end.

    Raises:
        ConfigError: it can't start, with its reason.
    """
    check_exposure(settings)
    if settings.models is Models.LOCAL:  # here, as it may take longer than a gateway's start may
        check_packages()
        provide_weights()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="devgateway-")))
        ledger = (settings.ledger or folder / LEDGER_NAME).absolute()
        errors = stack.enter_context(tempfile.TemporaryFile())
        child = stack.enter_context(_child(settings.model_copy(update={"ledger": ledger}), errors))
        host = _wait_ready(child, errors)
        yield RunningGateway(host=host, ledger=ledger, pid=child.pid, token=settings.token)


def started(settings: Settings) -> RunningGateway:
    """Starts a gateway that runs until this process ends, for notebooks; otherwise as `running`."""
    stack = ExitStack()
    gateway = stack.enter_context(running(settings))
    atexit.register(stack.close)
    return gateway


@contextmanager
def _child(settings: Settings, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gateway_batch.devgateway"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as child:
        assert child.stdin is not None
        try:
            child.stdin.write(settings.model_dump_json().encode() + b"\n")
            child.stdin.flush()
            yield child
        finally:
            _stop(child)
            errors.seek(0)
            sys.stderr.write(errors.read().decode(errors="replace"))


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACE_S + 5)
    except subprocess.TimeoutExpired:
        child.kill()


def _wait_ready(child: subprocess.Popen[bytes], errors: IO[bytes]) -> str:
    """The base URL in the line that says it listens."""
    assert child.stdout is not None
    watchdog = threading.Timer(_START_S, child.kill)
    watchdog.start()
    try:
        found = _URL.search(child.stdout.readline().decode())
    finally:
        watchdog.cancel()
    if found:
        return found[1]
    child.wait()
    errors.seek(0)
    reason = errors.read().decode(errors="replace").strip()
    errors.truncate(0)
    raise ConfigError(reason.removeprefix("error: ") or "the development gateway did not start")
