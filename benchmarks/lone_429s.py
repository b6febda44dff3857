"""How much longer a run takes where a share of its calls is answered 429 without any limit being met."""

from __future__ import annotations

from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.faulty_runs import Run, ask, faulty_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.report import WrongRunError

_ROWS, _IN_FLIGHT, _LATENCY_MS, _RETRY_AFTER_S = 400, 32, 100, 1
_MOST_TIMES = {0.02: 1.3, 0.05: 1.6, 0.15: 3.0}

LOAD = f"{_ROWS} rows, {_IN_FLIGHT} in flight, {_LATENCY_MS} ms, `retry_after` {_RETRY_AFTER_S}"


def measure(repeats: int, console: Console) -> dict[float, list[Run]]:
    """Runs by the share of 429s, the control's, 0, among them.

    Raises:
        WrongRunError: a row was not answered.
    """
    found: dict[float, list[Run]] = {}
    with faulty_server() as server:
        server.configure(latency_ms=_LATENCY_MS, faults=[])
        ask(server, _ROWS, _IN_FLIGHT)  # what the first run of a process costs is no share's
        for share in (0.0, *_MOST_TIMES):
            server.configure(latency_ms=_LATENCY_MS, faults=_faults(share))
            found[share] = [ask(server, _ROWS, _IN_FLIGHT) for _ in range(repeats)]
            for run in found[share]:
                if run.outcomes != {"answered": _ROWS}:
                    raise WrongRunError(f"{share:.0%} of single 429s: {run.outcomes}")
            console.print(f"{share:.0%} of single 429s: {_seconds(found[share]):.2f} s")
    return found


def figures(runs: dict[float, list[Run]]) -> list[Figure]:
    """The times of the control's that each share takes."""
    control = _seconds(runs[0.0])
    return [
        Figure(
            Goal(f"times as long with {share:.0%} of single 429s", Comparison.AT_MOST, most, ".2f"),
            _seconds(runs[share]) / control,
        )
        for share, most in _MOST_TIMES.items()
    ]


def _faults(share: float) -> list[dict[str, Any]]:
    """The control's rule fits no prompt, so that the gateway matches as much."""
    matched: dict[str, Any] = {"share": share} if share else {"match": "no row has this"}
    return [{**matched, "status": 429, "retry_after": _RETRY_AFTER_S}]


def _seconds(runs: list[Run]) -> float:
    return median(run.seconds for run in runs)
