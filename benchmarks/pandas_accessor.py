"""Rows a second of `series.ai.query` against a raw client loop of the same HTTP library."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import pandas as pd
from rich.console import Console

import gateway_batch.pandas as ai
from benchmarks.children import Server, run_control, running_server
from benchmarks.goals import CONTROL_AT_LEAST, Comparison, Figure, Goal
from benchmarks.load import MODEL, TOKEN, Load, prompt
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.suite import Benchmark, Options
from benchmarks.throughput import LATENCY
from gateway_batch import Client, GatewayConfig
from gateway_batch.usage.spool import sealed_segments

_IN_FLIGHT = 64
_WARM_UP_ROWS = 1_000
_GOAL = Goal("rows/s, of the raw client loop's", Comparison.AT_LEAST, 0.95, ".1%")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a side; CPU time is its process's."""

    seconds: float
    cpu_s: float


def _measure(options: Options, console: Console) -> Report:
    load, machine = Load(options.rows, _IN_FLIGHT, LATENCY), describe_machine()
    texts = pd.Series([prompt(number) for number in range(load.rows)])
    control: list[Run] = []
    ours: list[Run] = []
    with running_server(load.latency) as server, _configured(server, load, options.repeats):
        texts.head(_WARM_UP_ROWS).ai.query(MODEL)
        for repeat in range(1, options.repeats + 1):
            control.append(Run(*run_control(server, load)))
            ours.append(_run(server, load, texts))
            console.print(
                f"{repeat} of {options.repeats}: {control[-1].seconds / ours[-1].seconds:.1%} of the raw client loop"
            )
    return _report(load, control, ours, machine, options)


@contextmanager
def _configured(server: Server, load: Load, repeats: int) -> Iterator[None]:
    """The accessor with a client for the server, whose records are counted in the end.

    Raises:
        WrongRunError: there is not one for each row.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        config = GatewayConfig.from_env(host=server.host, token=TOKEN, max_concurrency=load.in_flight, spool_dir=folder)
        with Client(config) as client:
            ai.configure(client=client, progress=False)
            yield
        ai.configure()
        recorded = sum(name.rows for _, name in sealed_segments(Path(folder)))
    wanted = min(_WARM_UP_ROWS, load.rows) + repeats * load.rows
    if recorded != wanted:
        raise WrongRunError(f"{recorded:,} records of {wanted:,} requests")


def _run(server: Server, load: Load, texts: pd.Series) -> Run:
    server.reset()
    started, cpu = time.perf_counter(), time.process_time()
    answers = texts.ai.query(MODEL)
    run = Run(time.perf_counter() - started, time.process_time() - cpu)
    served = server.served()
    if served.requests != load.rows or answers.isna().any():
        raise WrongRunError(f"the server saw {served.requests:,} requests of {load.rows:,} rows")
    if served.most_in_flight > load.in_flight:
        raise WrongRunError(f"{served.most_in_flight} requests were in flight at once")
    return run


def _report(load: Load, control: list[Run], ours: list[Run], machine: dict[str, object], options: Options) -> Report:
    sides = control, ours
    rates = [load.rows / median(run.seconds for run in side) for side in sides]
    cpu_ms = [median(run.cpu_s for run in side) * 1000 / load.rows for side in sides]
    reach = rates[0] / load.limit
    return Report(
        benchmark="pandas_accessor",
        load=f"{load}; {options.repeats} runs of each side in turns, medians.",
        table=Table(
            ["", "raw client loop", "series.ai.query"],
            [
                ["rows/s", *(f"{rate:,.0f}" for rate in rates)],
                ["of the limit", *(f"{rate / load.limit:.1%}" for rate in rates)],
                ["of the raw client loop", "", f"{rates[1] / rates[0]:.1%}"],
                ["CPU ms/row", *(f"{spent:.3f}" for spent in cpu_ms)],
            ],
        ),
        figures=[Figure(_GOAL, rates[1] / rates[0])],
        machine=machine,
        versions=describe_versions() | {"pandas": pd.__version__},
        void=None
        if reach >= CONTROL_AT_LEAST
        else f"the raw client loop reached only {reach:.1%} of the limit: the machine was busy",
        notes=[
            f"In flight over mean latency is {load.limit:,.0f} rows/s. The accessor's time is that of the whole call, "
            "from the Series of prompts to that of answers, each request recorded."
        ],
        measured={"control": [asdict(run) for run in control], "ours": [asdict(run) for run in ours]},
    )


BENCHMARKS = [
    Benchmark("pandas_accessor", "64 in flight, 50 ms, without Spark", _measure, Options(rows=50_000, repeats=3), 4)
]
