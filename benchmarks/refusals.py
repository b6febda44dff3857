"""What refusals cost: rows that never fit, no money, a service that loads, a parameter that is refused."""

from __future__ import annotations

import threading
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.faulty_runs import Run, as_json, ask, faulty_server, told
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.suite import Benchmark, Options
from gateway_batch.devgateway import RunningGateway

_LOADS_S = 20
_REFUSED_ROWS = 100_000


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    measured: dict[str, list[Run]] = {}

    def times(name: str, rows: int, in_flight: int, faults: list[dict[str, Any]], latency_ms: int) -> float:
        server.configure(latency_ms=latency_ms, faults=faults)
        measured[name] = [ask(server, rows, in_flight) for _ in range(options.repeats)]
        if not any("message" in fault or fault.get("status") == 402 for fault in faults):
            for run in measured[name]:
                if run.outcomes != {"answered": rows}:
                    raise WrongRunError(f"{name}: {run.outcomes}")
        seconds = median(run.seconds for run in measured[name])
        console.print(f"{name}: {seconds:.2f} s, {measured[name][-1].requests} requests, {measured[name][-1].outcomes}")
        return seconds

    with faulty_server() as server:
        never = {"match": "no row has this", "status": 429}
        fitting = times("2,000 rows", 2_000, 64, [never], 50)
        too_large = {
            "match": "row (7|407|807|1207|1607) of",
            "status": 429,
            "message": "Request too large (TPM): Limit 30000, Requested 61337.",
        }
        unfitting = times("2,000 rows, of which 5 never fit", 2_000, 64, [too_large], 50) / fitting
        times("24 rows, no money", 24, 24, [{"status": 402}], 50)
        server.configure(latency_ms=50, faults=[{"status": 503, "message": "Loading model"}])
        loading = _loading(server)
        measured[f"1,000 rows, the service loads for {_LOADS_S} s"] = [loading]
        console.print(f"loading: {loading}")
        refused = {"status": 400, "message": "Unsupported parameter: 'max_tokens' is not supported with this model."}
        server.configure(latency_ms=50, faults=[refused])
        hopeless = ask(server, _REFUSED_ROWS, 64)
        measured[f"{_REFUSED_ROWS:,} rows, each would be refused"] = [hopeless]
        console.print(f"refused: {hopeless}")
    poor = measured["24 rows, no money"][-1]
    figures = [
        Figure(Goal("times as long with rows that never fit", Comparison.AT_MOST, 1.1, ".2f"), unfitting),
        Figure(Goal("seconds until 24 rows failed without money", Comparison.AT_MOST, 1.0, ".2f"), poor.seconds),
        Figure(Goal("requests of 24 rows without money", Comparison.AT_MOST, 24, ".0f"), poor.requests),
        Figure(
            Goal("of 1,000 rows answered by a service that loads", Comparison.EXACTLY, 1_000, ".0f"),
            loading.outcomes.get("answered", 0),
        ),
        Figure(Goal("requests for them", Comparison.AT_MOST, 1_050, ".0f"), loading.requests),
        Figure(Goal("requests of 100,000 refused rows", Comparison.AT_MOST, 200, ".0f"), hopeless.requests),
    ]
    return Report(
        benchmark="refusals",
        load=f"gb.Client against the development gateway; {options.repeats} runs, medians.",
        table=Table(
            ["", "seconds", "requests", "rows"],
            [
                [name, f"{median(run.seconds for run in runs):.2f}", str(runs[-1].requests), told(runs[-1].outcomes)]
                for name, runs in measured.items()
            ],
        ),
        figures=figures,
        machine=machine,
        versions=describe_versions(),
        measured={name: [as_json(run) for run in runs] for name, runs in measured.items()},
    )


def _loading(server: RunningGateway) -> Run:
    """A run at whose begin the service loads; a thread ends that."""
    timer = threading.Timer(_LOADS_S, lambda: server.configure(faults=[]))
    timer.start()
    try:
        return ask(server, 1_000, 64)
    finally:
        timer.cancel()


BENCHMARKS = [Benchmark("refusals", "what refusals cost the other rows", _measure, Options(repeats=3), 3)]
