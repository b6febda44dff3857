"""What the ledger costs: one worker's calls without Spark, with its spool writer and with a ledger that keeps nothing.

There is no such setting: the client of a worker's runtime is given the other ledger from run to run. It makes the same
records for both, so what that costs is measured alone and added.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from statistics import median

from rich.console import Console

from benchmarks.children import running_server
from benchmarks.comparison import measure_control
from benchmarks.goals import CONTROL_AT_LEAST, Comparison, Figure, Goal
from benchmarks.hot_path import Cost, Worker, running_worker
from benchmarks.latency import Latency
from benchmarks.load import MODEL, PATH, Load
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options
from gateway_batch.types import HttpReply, InferenceResult, Service, TokenUsage
from gateway_batch.usage import attempts
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.record import UsageRecord

_IN_FLIGHT = 64
_RECORDS = 20_000
_CPU = Goal("CPU of the ledger", Comparison.AT_MOST, 0.57, ".2f", "times the raw client loop's")
"""0.05 ms a row on the machine that it was set on, whose raw client loop takes 0.087."""
_TIME = Goal("time with the ledger over time without", Comparison.AT_MOST, 1.05, ".3f")


class KeepsNothing:
    """A ledger that forgets."""

    def intend(self, record: UsageRecord) -> None:
        """Nothing is written."""

    def settle(self, record: UsageRecord) -> None:
        """Nothing is written."""


def _measure(options: Options, console: Console) -> Report:
    load, machine = Load(options.rows, _IN_FLIGHT, Latency(50)), describe_machine()
    kept: list[Cost] = []
    forgotten: list[Cost] = []
    with running_worker(load) as worker:
        for repeat in range(1, options.repeats + 1):
            forgotten.append(_run(worker, load, keep=False))
            kept.append(_run(worker, load, keep=True))
            console.print(
                f"{repeat} of {options.repeats}: {_cpu_ms(kept, load) - _cpu_ms(forgotten, load):.3f} ms a row"
            )
    with running_server(load.latency) as server:
        control_ms = median(measure_control(server, load).cpu_s for _ in range(options.repeats)) * 1000 / load.rows
    making_ms = min(_making_ms() for _ in range(3))
    ledger_ms = _cpu_ms(kept, load) - _cpu_ms(forgotten, load) + making_ms
    seconds, limit_s = _seconds(forgotten), load.rows / load.limit
    return Report(
        benchmark="ledger_overhead",
        load=f"{load}, one worker without Spark; {options.repeats} runs of each side in turns, medians.",
        table=_table(kept, forgotten, making_ms, load),
        figures=[Figure(_CPU, ledger_ms / control_ms), Figure(_TIME, _seconds(kept) / seconds)],
        machine=machine,
        versions=describe_versions(),
        void=None
        if limit_s / seconds >= CONTROL_AT_LEAST
        else f"the runs without the ledger reached only {limit_s / seconds:.1%} of the limit: the machine was busy",
        notes=[
            "Both sides make records. The cost of making them is measured separately and added to the goal's figure. "
            f"The flush to the table is in cpu_per_row. The raw client loop takes {control_ms:.3f} ms a row."
        ],
        measured={
            "kept": [asdict(cost) for cost in kept],
            "forgotten": [asdict(cost) for cost in forgotten],
            "making_ms": making_ms,
            "control_ms": control_ms,
        },
    )


def _run(worker: Worker, load: Load, *, keep: bool) -> Cost:
    """One run; the ledger is changed while nothing is under way."""
    client = worker.runtime.client
    spool = client._ledger
    if not keep:
        client._ledger = KeepsNothing()
    try:
        return worker.answer(load.rows)
    finally:
        client._ledger = spool


def _making_ms() -> float:
    """CPU milliseconds of one record, from the attempt to its outcome."""
    service = Service(MODEL, "mlflow/v1/chat/completions", f"http://127.0.0.1{PATH}", MODEL, "value:token")
    caller = Caller("AI_QUERY", "bench", requester="bench", application_id="local-0", stage_id=0)
    reply = HttpReply(200, {"content-type": "application/json"}, b"{}")
    result = InferenceResult("answer", TokenUsage(90, 48, 138), MODEL)
    intents = attempts.Intents()
    started = time.thread_time()
    for _ in range(_RECORDS):
        record = intents.record(caller, service, {}, event_id=attempts.new_event_id(), attempt=1, now=1.0)
        attempts.note_reply(record, reply, 50)
        attempts.note_result(record, result)
    return (time.thread_time() - started) * 1000 / _RECORDS


def _cpu_ms(runs: list[Cost], load: Load) -> float:
    return median(run.process_s for run in runs) * 1000 / load.rows


def _seconds(runs: list[Cost]) -> float:
    return median(run.seconds for run in runs)


def _table(kept: list[Cost], forgotten: list[Cost], making_ms: float, load: Load) -> Table:
    with_ms, without_ms = _cpu_ms(kept, load), _cpu_ms(forgotten, load)
    seconds = [_seconds(side) for side in (forgotten, kept)]
    return Table(
        ["", "keeps nothing", "spool", "the ledger"],
        [
            ["CPU ms/row, process", f"{without_ms:.3f}", f"{with_ms:.3f}", f"{with_ms - without_ms:+.3f}"],
            ["CPU ms/row, making the record", f"{making_ms:.3f}", f"{making_ms:.3f}", f"+{making_ms:.3f}"],
            ["seconds", f"{seconds[0]:.2f}", f"{seconds[1]:.2f}", f"{seconds[1] / seconds[0] - 1:+.1%}"],
        ],
    )


BENCHMARKS = [
    Benchmark("ledger_overhead", "with and without the spool", _measure, Options(rows=50_000, repeats=3), 5),
]
