"""CPU time a request of each transport: one worker's calls without Spark, the transport changed from run to run.

The control is what the setting `transport` has by default. `httpx.AsyncClient` is what a user brings as `http_client`,
one pool of httpx's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from statistics import median
from typing import cast, get_args

import httpx
from rich.console import Console

from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.hot_path import Cost, Worker, running_worker
from benchmarks.latency import Latency
from benchmarks.load import Load
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options
from gateway_batch.config import TransportName
from gateway_batch.transport import Transport, open_transport
from gateway_batch.transport.httpx_transport import HttpxClientTransport
from gateway_batch.version import USER_AGENT

_IN_FLIGHT = 64
_WARM_UP_ROWS = 300
_CONTROL, _POOLS, _ONE_POOL = "pyreqwest", "httpx", "httpx.AsyncClient"
_GOAL = Goal("CPU a request of httpx over that of one httpx.AsyncClient", Comparison.AT_MOST, 0.75)


class _ThroughAClient(HttpxClientTransport):
    """A user's client, closed with its transport."""

    async def close(self) -> None:
        await self._client.aclose()


def _open(name: str) -> Transport:
    if name in get_args(TransportName):
        return open_transport(cast(TransportName, name), USER_AGENT)
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return _ThroughAClient(httpx.AsyncClient(limits=unlimited), USER_AGENT)


def _measure(options: Options, console: Console) -> Report:
    load, machine = Load(options.rows, _IN_FLIGHT, Latency(50)), describe_machine()
    runs: dict[str, list[Cost]] = {_CONTROL: [], _POOLS: [], _ONE_POOL: []}
    with running_worker(load) as worker:
        for repeat in range(1, options.repeats + 1):
            for name, costs in runs.items():
                with _sending_through(name, worker):
                    worker.answer(_WARM_UP_ROWS)
                    costs.append(worker.answer(load.rows))
            shown = ", ".join(f"{name} {_cpu_ms(costs[-1:], load):.3f}" for name, costs in runs.items())
            console.print(f"{repeat} of {options.repeats}: {shown} ms a request")
    return Report(
        benchmark="transports",
        load=f"{load}, one worker without Spark; {options.repeats} runs of each side in turns, medians.",
        table=_table(runs, load),
        figures=[Figure(_GOAL, _cpu_ms(runs[_POOLS], load) / _cpu_ms(runs[_ONE_POOL], load))],
        machine=machine,
        versions=describe_versions() | {"httpx": httpx.__version__},
        notes=["CPU is that of the whole process: a worker's loop, the ledger, and the HTTP library's threads."],
        measured={name: [asdict(cost) for cost in costs] for name, costs in runs.items()},
    )


@contextmanager
def _sending_through(name: str, worker: Worker) -> Iterator[None]:
    """The worker with another transport; it is changed while nothing is under way."""
    client = worker.runtime.client
    own, client._transport = client._transport, worker.on_loop(lambda: _open(name))
    try:
        yield
    finally:
        worker.runtime.submit(client._transport.close).result()
        client._transport = own


def _cpu_ms(runs: list[Cost], load: Load) -> float:
    return median(run.process_s for run in runs) * 1000 / load.rows


def _table(runs: dict[str, list[Cost]], load: Load) -> Table:
    cpu_ms = {name: _cpu_ms(costs, load) for name, costs in runs.items()}
    rates = {name: load.rows / median(cost.seconds for cost in costs) for name, costs in runs.items()}
    return Table(
        ["", *runs],
        [
            ["CPU ms/request, process", *(f"{cpu:.3f}" for cpu in cpu_ms.values())],
            [f"times that of {_CONTROL}", *(f"{cpu / cpu_ms[_CONTROL]:.1f}" for cpu in cpu_ms.values())],
            ["requests/s", *(f"{rate:,.0f}" for rate in rates.values())],
        ],
    )


BENCHMARKS = [Benchmark("transports", "pyreqwest and httpx", _measure, Options(rows=5_000, repeats=3), 4)]
