"""Runs of a client against the development gateway and its faults."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway_batch import Client, GatewayConfig
from gateway_batch.devgateway import RunningGateway, Settings, running
from gateway_batch.errors import CallError

_TOKEN = "dapi-0123456789"
_MODEL = "databricks-gpt-5-4"


@contextmanager
def faulty_server() -> Iterator[RunningGateway]:
    """A development gateway of its own; `configure` gives it its faults."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        running(Settings(port=0, token=_TOKEN, ledger=Path(folder) / "ledger.sqlite")) as server,
    ):
        yield server


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        seconds: it took.
        requests: that the server got.
        outcomes: rows by what became of them: `answered`, or the kind of an error.
        texts: different texts of errors.
    """

    seconds: float
    requests: int
    outcomes: dict[str, int]
    texts: int


def ask(server: RunningGateway, rows: int, in_flight: int, **settings: Any) -> Run:
    """Different rows through a client of their own, of which nothing is known before."""
    server.reset()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        config = GatewayConfig.from_env(
            host=server.host, token=_TOKEN, spool_dir=folder, max_concurrency=in_flight, **settings
        )
        texts = [f"row {number} of {time.monotonic_ns()}" for number in range(rows)]
        with Client(config) as client:
            began = time.perf_counter()
            found = client.query_many(_MODEL, texts, fail_on_error=False)
            seconds = time.perf_counter() - began
    errors = [each for each in found if isinstance(each, CallError)]
    outcomes = Counter("answered" if not isinstance(each, CallError) else each.kind.value for each in found)
    return Run(seconds, server.stats()["requests"], dict(outcomes), len({str(error) for error in errors}))


def as_json(run: Run) -> dict[str, Any]:
    """A run as JSON has it."""
    return {"seconds": run.seconds, "requests": run.requests, "outcomes": run.outcomes, "texts": run.texts}


def told(outcomes: dict[str, int]) -> str:
    """Outcomes as a table has them."""
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
