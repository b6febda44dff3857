"""`ai_query` next to other packages: rows a second, CPU time a row and requests a row, on the same server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.children import Server, running_server
from benchmarks.goals import CONTROL_AT_LEAST, Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import Load
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.peers.child import GO, WARM
from benchmarks.peers.environments import NotInstalledError, python_of, variables_of
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.sampling import CpuClock
from benchmarks.suite import Benchmark, Options

_LOAD_LATENCY = Latency(50)
_IN_FLIGHT = 64
_WIDE_IN_FLIGHT = 256  # about as many rows as packed requests have under way: 16 of 18 rows each
_SLOW_ROWS = 2_000
_WARM_UP_ROWS = 2_000
_LIMIT_S = 240.0

_FASTER = Goal("rows/s over the fastest peer's that sends a row a request", Comparison.AT_LEAST, 1.0, ".2f")
_FASTER_THAN_PACKED = Goal(
    f"rows/s, {_WIDE_IN_FLIGHT} in flight, over those of a peer that packs rows", Comparison.AT_LEAST, 1.0, ".2f"
)
_THRIFTIER = Goal("CPU a row of the thriftiest peer over ours", Comparison.AT_LEAST, 3.0, ".1f")


@dataclass(frozen=True, slots=True)
class Side:
    """One package, in one way of using it.

    Attributes:
        name: as shown.
        peer: on the command line.
        module: that runs it.
        environment: that it runs in; None: this interpreter.
        mode: that the module is run in.
        slow: too slow for as many rows as the others.
        in_flight: requests at once.
        packs: several rows go out in one request.
    """

    name: str
    peer: str
    module: str
    environment: str | None = None
    mode: str = ""
    slow: bool = False
    in_flight: int = _IN_FLIGHT
    packs: bool = False


CONTROL = Side("raw client loop", "", "raw_loop")
OURS = Side("ai_query", "", "ours")
OURS_WIDE = Side(f"ai_query, {_WIDE_IN_FLIGHT} in flight", "", "ours", in_flight=_WIDE_IN_FLIGHT)
PEERS = [
    Side("SynapseML", "synapseml", "with_synapseml", "synapseml"),
    Side("pandas UDF, openai SDK, threads", "hand", "hand_written", "hand", "threads"),
    Side("pandas UDF, openai SDK, asyncio", "hand", "hand_written", "hand", "asyncio"),
    Side("openaivec, packed rows", "openaivec", "with_openaivec", "openaivec", "packed", packs=True),
    Side("openaivec, a row a request", "openaivec", "with_openaivec", "openaivec", "single", slow=True),
    Side("Daft", "daft", "with_daft", "daft", slow=True),
]


@dataclass(frozen=True, slots=True)
class Run:
    """What one side took for its rows."""

    rows: int
    seconds: float
    cpu_s: float
    requests: int
    most_in_flight: int
    versions: dict[str, str]

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a row, all processes of the side."""
        return self.cpu_s * 1000 / self.rows


class FailedRunError(Exception):
    """A side did not come to its end."""


def _measure(options: Options, console: Console) -> Report:
    peers = [side for side in PEERS if side.peer in options.peers]
    machine, sides = describe_machine(), [CONTROL, OURS, OURS_WIDE, *peers]
    pythons, failed = _interpreters(sides, console)
    runs: dict[str, list[Run]] = {side.name: [] for side in sides if side.name in pythons}
    with running_server(_LOAD_LATENCY, inspect=True) as server:
        for repeat in range(1, options.repeats + 1):
            for side in sides:
                if side.name not in pythons or side.name in failed:
                    continue
                rows = min(options.rows, _SLOW_ROWS) if side.slow else options.rows
                try:
                    run = _run(side, pythons[side.name], server, rows)
                except FailedRunError as error:
                    if side not in PEERS:
                        raise WrongRunError(str(error)) from None
                    failed[side.name] = str(error)
                    console.print(f"{side.name}: {error}", style="red")
                    continue
                runs[side.name].append(run)
                progress = f"{run.rate:,.0f} rows/s, {run.cpu_ms:.2f} ms a row"
                console.print(f"{repeat} of {options.repeats}, {side.name}: {progress}")
    measured = {name: of_side for name, of_side in runs.items() if len(of_side) == options.repeats}
    return _report(measured, failed, options, machine)


def _interpreters(sides: Sequence[Side], console: Console) -> tuple[dict[str, str], dict[str, str]]:
    pythons: dict[str, str] = {}
    failed: dict[str, str] = {}
    for side in sides:
        try:
            pythons[side.name] = str(python_of(side.environment)) if side.environment else sys.executable
        except NotInstalledError as error:
            failed[side.name] = str(error)
            console.print(f"{side.name}: {error}", style="red")
    return pythons, failed


def _run(side: Side, python: str, server: Server, rows: int) -> Run:
    """One run in a process of its own, which is warm when it is measured."""
    command = [python, "-m", f"benchmarks.peers.{side.module}", "--host", server.host, "--mode", side.mode]
    command += [
        "--in-flight",
        str(side.in_flight),
        "--rows",
        str(rows),
        "--warm-up-rows",
        str(min(rows, _WARM_UP_ROWS)),
    ]
    with _child(command, {} if side.environment is None else variables_of(side.environment)) as process:
        assert process.stdin is not None
        _read(process, lambda line: line == WARM or None)
        server.reset()
        with CpuClock(root=process.pid) as cpu:
            process.stdin.write(f"{GO}\n")
            process.stdin.flush()
            result = _read(process, _result)
        served = server.served()
    return Run(rows, result["seconds"], cpu.tree_s, served.requests, served.most_in_flight, result["versions"])


@contextmanager
def _child(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which ends with the block or with its time."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | variables,
        start_new_session=True,
    ) as process:

        def end() -> None:
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(_LIMIT_S, end)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            with suppress(ProcessLookupError):
                end()


def _read(process: subprocess.Popen[str], wanted: Callable[[str], Any]) -> Any:
    """The first line that is wanted; packages print lines of their own."""
    assert process.stdout is not None
    for line in process.stdout:
        if (found := wanted(line.strip())) is not None:
            return found
    raise FailedRunError(f"ended without a result, or took over {_LIMIT_S:.0f} s")


def _result(line: str) -> dict[str, Any] | None:
    return json.loads(line) if line.startswith('{"seconds"') else None


def _report(runs: dict[str, list[Run]], failed: dict[str, str], options: Options, machine: dict[str, Any]) -> Report:
    rates = {name: median(run.rate for run in of_side) for name, of_side in runs.items()}
    costs = {name: median(run.cpu_ms for run in of_side) for name, of_side in runs.items()}
    peers = [side for side in PEERS if side.name in runs]
    packing = [rates[side.name] for side in peers if side.packs]
    others = [rates[side.name] for side in peers if not side.packs]
    load = Load(options.rows, _IN_FLIGHT, _LOAD_LATENCY)
    reached = rates[CONTROL.name] / load.limit
    versions = describe_versions()
    for side in peers:
        of_peer = runs[side.name][0].versions
        versions |= {f"{side.peer}'s {name}": version for name, version in of_peer.items() if name != "python"}
    return Report(
        benchmark="peers",
        load=f"{load}; {options.repeats} runs of each in turns, medians; the slow ones with {_SLOW_ROWS:,} rows.",
        table=_table(runs, failed, rates, costs),
        figures=[
            Figure(_FASTER, rates[OURS.name] / max(others) if others else None),
            Figure(_FASTER_THAN_PACKED, rates[OURS_WIDE.name] / max(packing) if packing else None),
            Figure(_THRIFTIER, min(costs[side.name] for side in peers) / costs[OURS.name] if peers else None),
        ],
        machine=machine,
        versions=versions,
        void=None
        if reached >= CONTROL_AT_LEAST
        else f"the raw client loop itself reached only {reached:.1%} of {load.limit:,.0f} rows/s: the machine was busy",
        notes=[
            f"Each run is a new process, warmed up by {_WARM_UP_ROWS:,} rows. CPU is that of all its processes over "
            "the run, not the server's. ai_query also records its requests in its ledger; the others record nothing.",
            "Packed rows are answered after the same 50 ms as one row, as no model would: 16 requests of 18 rows are "
            "288 rows in flight, so they are compared with 256 of ours. With 64 rows in flight, the limit is "
            f"{load.limit:,.0f} rows/s.",
            *(f"{name}: {reason}." for name, reason in failed.items()),
        ],
        measured={name: [asdict(run) for run in of_side] for name, of_side in runs.items()},
    )


def _table(
    runs: dict[str, list[Run]], failed: dict[str, str], rates: dict[str, float], costs: dict[str, float]
) -> Table:
    rows = []
    for name, of_side in runs.items():
        requests = median(run.requests / run.rows for run in of_side)
        cells = [f"{of_side[0].rows:,}", f"{rates[name]:,.0f}", f"{costs[name]:.2f}", f"{requests:.3f}"]
        ratios = [f"{rates[name] / rates[OURS.name]:.2f}", f"{costs[name] / costs[OURS.name]:.1f}"]
        rows.append([name, *cells, str(max(run.most_in_flight for run in of_side)), *ratios])
    rows += [[name, *[""] * 5, "failed", ""] for name in failed]
    columns = [
        "",
        "rows",
        "rows/s",
        "CPU ms/row",
        "requests/row",
        "in flight",
        "rows/s : ours",
        "CPU : ours",
    ]
    return Table(columns, rows)


BENCHMARKS = [
    Benchmark(
        "peers",
        "side by side with other packages",
        _measure,
        Options(rows=10_000, repeats=3, peers=tuple(dict.fromkeys(side.peer for side in PEERS))),
        18,
    ),
]
