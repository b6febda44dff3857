"""How much of a gateway's rate limit is used, and how many requests it refuses; with and without the limit set.

And what single 429s cost that no limit is behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks import lone_429s
from benchmarks.children import Served, Server, run_paced_control, running_server
from benchmarks.faulty_runs import Run, as_json
from benchmarks.goals import CONTROL_AT_LEAST, Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.load import MODEL
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table, WrongRunError
from benchmarks.session import letters, register, run_to_nowhere, spark_session
from benchmarks.suite import Benchmark, Options
from gateway_batch import GatewayConfig

_RATE = 50
_WARM_UP_S = 5
_IN_FLIGHT = 64
_LATENCY = Latency(50)
_SETTING = "requests_per_minute"

_USED = Goal("of the limit used", Comparison.AT_LEAST, 0.95, ".1%")
_REFUSED = Goal("requests answered 429", Comparison.AT_MOST, 0.02, ".2%")
_USED_TOLD = Goal(f"of the limit used, {_SETTING} set", Comparison.AT_LEAST, 0.90, ".1%")
_REFUSED_TOLD = Goal(f"requests answered 429, {_SETTING} set", Comparison.EXACTLY, 0, ".2%")


@dataclass(frozen=True, slots=True)
class Used:
    """How one run used the limit.

    Attributes:
        share: requests let through from the warm-up's end to the end of the run, of those that could have been.
        refused: requests answered 429 of all until the end of the run, the warm-up's among them.
        refused_later: those of them after the warm-up, of all after it.
    """

    share: float
    refused: float
    refused_later: float


def used(passed: Sequence[int], refused: Sequence[int], rate: float, warm_up_s: int, seconds: int) -> Used:
    """How the limit was used, from requests let through and refused in each second since the first."""
    later_passed, later_refused = sum(passed[warm_up_s:seconds]), sum(refused[warm_up_s:seconds])
    all_refused = sum(refused[:seconds])
    return Used(
        share=later_passed / (rate * (seconds - warm_up_s)),
        refused=all_refused / max(1, sum(passed[:seconds]) + all_refused),
        refused_later=later_refused / max(1, later_passed + later_refused),
    )


def _measure(options: Options, console: Console) -> Report:
    machine = describe_machine()
    settings: dict[str, dict[str, Any]] = {"ai_query": {}}
    if _SETTING in GatewayConfig.model_fields:
        settings[f"ai_query, {_SETTING} set"] = {_SETTING: _RATE * 60}
    runs: dict[str, list[Used]] = {"paced raw loop": [], **{side: [] for side in settings}}
    with spark_session() as spark:
        for repeat in range(1, options.repeats + 1):
            for side, given in settings.items():
                with running_server(_LATENCY, rate=_RATE) as server, running_server(_LATENCY, rate=_RATE) as other:
                    ours, control = _run(spark, server, other, given, options.seconds)
                runs[side].append(ours)
                runs["paced raw loop"].append(control)
                console.print(
                    f"{repeat} of {options.repeats}, {side}: {ours.share:.1%} used, {ours.refused:.2%} refused"
                )
    return _report(runs, lone_429s.measure(options.repeats, console), options, machine)


def _run(
    spark: SparkSession, server: Server, control_server: Server, settings: dict[str, Any], seconds: int
) -> tuple[Used, Used]:
    """Both sides at once, each at a gateway of its own: they need little of the machine."""
    rows = _RATE * (seconds + _WARM_UP_S)  # more than the run can take: its end is not measured
    with register(spark, server, max_concurrency=_IN_FLIGHT, **settings), ThreadPoolExecutor(1) as apart:
        control = apart.submit(run_paced_control, control_server, _RATE * seconds, _RATE)
        run_to_nowhere(letters(spark, rows).selectExpr(f"ai_query('{MODEL}', text) AS answer"))
        control.result()
    served = server.served()
    if (answered := sum(served.passed)) != rows:
        raise WrongRunError(f"the server answered {answered} requests for {rows} rows")
    return _used(served, seconds), _used(control_server.served(), seconds)


def _used(served: Served, seconds: int) -> Used:
    return used(served.passed, served.refused, _RATE, _WARM_UP_S, seconds)


def _report(
    runs: dict[str, list[Used]], lone: dict[float, list[Run]], options: Options, machine: dict[str, Any]
) -> Report:
    shares = {side: median(run.share for run in of_side) for side, of_side in runs.items()}
    refused = {side: median(run.refused for run in of_side) for side, of_side in runs.items()}
    later = {side: median(run.refused_later for run in of_side) for side, of_side in runs.items()}
    with_setting = f"ai_query, {_SETTING} set"
    control = shares["paced raw loop"]
    return Report(
        benchmark="rate_limit",
        load=f"{_RATE} requests/s, 1 s of burst, {options.seconds} s, {_IN_FLIGHT} in flight, 50 ms; "
        f"{options.repeats} runs of each side, medians.",
        table=Table(
            ["", *runs],
            [
                ["of the limit used after warm-up", *(f"{value:.1%}" for value in shares.values())],
                ["requests answered 429", *(f"{value:.2%}" for value in refused.values())],
                ["requests answered 429 after warm-up", *(f"{value:.2%}" for value in later.values())],
            ],
        ),
        figures=[
            Figure(_USED, shares["ai_query"]),
            Figure(_REFUSED, refused["ai_query"]),
            Figure(_USED_TOLD, shares.get(with_setting)),
            Figure(_REFUSED_TOLD, refused.get(with_setting)),
            *lone_429s.figures(lone),
        ],
        machine=machine,
        versions=describe_versions(),
        void=None
        if control >= CONTROL_AT_LEAST
        else f"the paced raw loop itself used only {control:.1%} of the limit: the machine was busy",
        notes=[
            f"Warm-up is the first {_WARM_UP_S} s after the first request. The gateway is a token bucket that answers "
            "429 with whole seconds of Retry-After. Each run has a gateway of its own, of which nothing is known yet.",
            f"Single 429s, which hit a share of the calls at random: {lone_429s.LOAD}, gb.Client.",
        ]
        + ([] if with_setting in runs else [f"There is no setting {_SETTING} yet."]),
        measured={
            **{side: [asdict(run) for run in of_side] for side, of_side in runs.items()},
            **{f"{share:.0%} of single 429s": [as_json(run) for run in of_share] for share, of_share in lone.items()},
        },
    )


BENCHMARKS = [
    Benchmark("rate_limit", "use of a gateway's rate limit", _measure, Options(seconds=60, repeats=3), 8),
]
