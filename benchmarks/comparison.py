"""`ai_query` and a raw client loop in turns, on one machine: what `throughput` and `cpu_per_row` look at."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from benchmarks.children import Served, Server, run_control, running_server
from benchmarks.goals import CONTROL_AT_LEAST, reach_of_control
from benchmarks.latency import Latency
from benchmarks.load import MODEL, Load
from benchmarks.machine import describe_machine
from benchmarks.report import WrongRunError
from benchmarks.sampling import CpuClock
from benchmarks.session import letters, recorded, register, run_to_nowhere, spark_session
from gateway_batch import Gateway

_WARM_UP_ROWS = 2_000
_REACH_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class ControlRun:
    """What one raw loop cost, and the server with it."""

    seconds: float
    cpu_s: float
    server_cpu_s: float


@dataclass(frozen=True, slots=True)
class OurRun:
    """What one query cost.

    Attributes:
        seconds: of the query, planning included, the flush after it not.
        workers_cpu_s: CPU seconds of the Python workers over the query.
        tree_cpu_s: CPU seconds of driver, JVM and workers over the query.
        others_cpu_s: CPU seconds of all else on the machine over the query, the server left out.
        flush_seconds: of the flush after the query.
        flush_cpu_s: CPU seconds of the tree over that flush.
    """

    seconds: float
    workers_cpu_s: float
    tree_cpu_s: float
    others_cpu_s: float
    flush_seconds: float
    flush_cpu_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Interleaved runs of both sides under one load.

    Attributes:
        load: of each run.
        machine: before the runs.
        reach: rows a second of the raw loop at the same concurrency where answers come at once, before and after the
            runs: what this machine can carry at all, the server on it too.
        control: runs of the raw loop.
        ours: runs of ours.
    """

    load: Load
    machine: dict[str, Any]
    reach: list[float]
    control: list[ControlRun]
    ours: list[OurRun]

    @property
    def control_rate(self) -> float:
        """The control's rows a second, median."""
        return median(self.load.rows / run.seconds for run in self.control)

    @property
    def our_rate(self) -> float:
        """Our rows a second, median."""
        return median(self.load.rows / run.seconds for run in self.ours)

    @property
    def ratio(self) -> float:
        """Our median rate as a part of the control's."""
        return self.our_rate / self.control_rate

    @property
    def limit(self) -> float:
        """What the control is held against: in flight over latency, or what the machine can carry if that is less."""
        return min(self.load.limit, max(self.reach))

    @property
    def void(self) -> str | None:
        """Why the runs say nothing, if they don't."""
        share = reach_of_control(self.control_rate, [self.load.limit, max(self.reach)])
        if share >= CONTROL_AT_LEAST:
            return None
        return (
            f"the raw client loop itself reached only {share:.1%} of {self.limit:,.0f} rows/s, less than "
            f"{CONTROL_AT_LEAST:.0%}: the machine was busy"
        )

    def cpu_ms(self, seconds: Iterable[float]) -> float:
        """Median CPU milliseconds a row, from the runs' CPU seconds."""
        return median(seconds) * 1000 / self.load.rows

    @property
    def others_cores(self) -> float:
        """Cores that other processes of the machine kept busy in our runs, median."""
        return median(run.others_cpu_s / run.seconds for run in self.ours)

    def as_json(self) -> dict[str, Any]:
        """Each run."""
        return {**asdict(self), "limit_rows_per_s": self.load.limit}


class _OurSide:
    def __init__(self, spark: SparkSession, gateway: Gateway, server: Server) -> None:
        self._spark = spark
        self._gateway = gateway
        self._server = server
        self._tables: dict[int, DataFrame] = {}

    def prepare(self, rows: int) -> None:
        """Caches a table of that many prompts."""
        self._tables[rows] = letters(self._spark, rows).cache()
        self._tables[rows].count()

    def run(self, load: Load) -> OurRun:
        """One checked run."""
        self._server.reset()
        before = recorded(self._spark, self._gateway)
        query = self._tables[load.rows].selectExpr(f"ai_query('{MODEL}', text) AS answer")
        started = time.perf_counter()
        with CpuClock(frozenset({self._server.pid})) as cpu:
            run_to_nowhere(query)
            seconds = time.perf_counter() - started
        check_served("ai_query", load, self._server.served())
        started = time.perf_counter()
        with CpuClock(frozenset({self._server.pid})) as flush_cpu:
            self._gateway.usage.flush()
            flush_seconds = time.perf_counter() - started
        added = recorded(self._spark, self._gateway) - before
        if added != load.rows:
            raise WrongRunError(f"ai_query: the usage table has {added} more rows for {load.rows} requests")
        return OurRun(seconds, cpu.workers_s, cpu.tree_s, cpu.others_s, flush_seconds, flush_cpu.tree_s)


def check_served(who: str, load: Load, served: Served) -> None:
    """Raises WrongRunError unless the server saw each row once and never too many at once."""
    if served.requests != load.rows:
        raise WrongRunError(f"{who}: the server saw {served.requests} requests for {load.rows} rows")
    if served.most_in_flight > load.in_flight:
        raise WrongRunError(f"{who}: {served.most_in_flight} requests in flight, more than {load.in_flight}")


def measure_control(server: Server, load: Load) -> ControlRun:
    """One checked run of the raw loop."""
    server.reset()
    seconds, cpu_s = run_control(server, load)
    served = server.served()
    check_served("control", load, served)
    return ControlRun(seconds, cpu_s, served.cpu_s)


def measure_reach(in_flight: int) -> float:
    """Rows a second of the raw loop where answers come at once."""
    load = Load(_REACH_ROWS, in_flight, Latency(0))
    with running_server(load.latency) as server:
        return load.rows / measure_control(server, load).seconds


_measured: dict[tuple[Load, int], Comparison] = {}


def compare(load: Load, repeats: int, console: Console) -> Comparison:
    """Runs both sides in turns, each of our runs right after a short warm-up; once a process for one load."""
    if (load, repeats) not in _measured:
        _measured[load, repeats] = _compare(load, repeats, console)
    return _measured[load, repeats]


def _compare(load: Load, repeats: int, console: Console) -> Comparison:
    warm_up = Load(min(_WARM_UP_ROWS, load.rows), load.in_flight, load.latency)
    comparison = Comparison(load, describe_machine(), [measure_reach(load.in_flight)], [], [])
    with (
        running_server(load.latency) as server,
        spark_session() as spark,
        register(spark, server, max_concurrency=load.in_flight) as gateway,
    ):
        side = _OurSide(spark, gateway, server)
        side.prepare(warm_up.rows)
        side.prepare(load.rows)
        side.run(warm_up)
        for repeat in range(1, repeats + 1):
            comparison.control.append(measure_control(server, load))
            side.run(warm_up)  # Spark ends workers that were idle for a minute
            comparison.ours.append(side.run(load))
            _show_progress(comparison, repeat, repeats, console)
    comparison.reach.append(measure_reach(load.in_flight))
    return comparison


def _show_progress(comparison: Comparison, repeat: int, repeats: int, console: Console) -> None:
    rows = comparison.load.rows
    control, ours = rows / comparison.control[-1].seconds, rows / comparison.ours[-1].seconds
    console.print(f"{repeat} of {repeats}: raw client loop {control:,.0f} rows/s, ai_query {ours:,.0f} rows/s")
