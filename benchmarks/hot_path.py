"""One worker's hot path without Spark: rows a second, and CPU time a row by step.

The client, its spool, slots and connections are a worker's own; calls go through `answer_in_order`. Steps are timed by
their thread's CPU clock, which costs about 1 us a step. With `--profile` the event loop's thread runs under cProfile,
which slows it down: take shares from it, and not figures. With `--pay-once` rows go through the cache too, each run in
a scope of its own.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import secrets
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.children import Server, running_server
from benchmarks.latency import Latency
from benchmarks.load import MODEL, PATH, TOKEN, Load, prompt
from gateway_batch.admission import Limits
from gateway_batch.admission.coordination import CoordinationConfig
from gateway_batch.apis import api_for
from gateway_batch.config import Credentials
from gateway_batch.engine.concurrency_window import ConcurrencyWindow, answer_in_order
from gateway_batch.engine.runtime import Runtime, RuntimeSettings
from gateway_batch.response_cache import AnswerScope, KeyMaker, SingleFlight
from gateway_batch.types import InferenceRequest, Service
from gateway_batch.usage.attempts import Caller
from gateway_batch.version import USER_AGENT

_BATCH = 1_000
_API = "mlflow/v1/chat/completions"
_WARM_UP_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, in seconds; `loop_s` and `caller_s` are two threads' CPU time, both part of `process_s`."""

    seconds: float
    process_s: float
    loop_s: float
    caller_s: float


class StepClock:
    """Adds up the CPU time of named steps."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def watch(self, owner: object, method: str, step: str) -> None:
        """Times a plain method of one object."""
        call = getattr(owner, method)

        def timed(*arguments: Any) -> Any:
            started = time.thread_time()
            try:
                return call(*arguments)
            finally:
                self.add(step, started)

        setattr(owner, method, timed)

    def watch_async(self, owner: object, method: str, step: str) -> None:
        """Times a coroutine method of one object, waiting left out."""
        call = getattr(owner, method)
        setattr(owner, method, lambda *arguments: _Timed(self, step, call(*arguments)))

    def add(self, step: str, started: float) -> None:
        """Adds the CPU time since `started`."""
        self.spent[step] = self.spent.get(step, 0.0) + time.thread_time() - started


class _Timed(Awaitable[Any]):
    """Drives a coroutine and times each of its steps."""

    def __init__(self, clock: StepClock, step: str, coroutine: Any) -> None:
        self._clock = clock
        self._step = step
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, sent = self._coroutine.__await__(), None
        while True:
            started = time.thread_time()
            try:
                waiting_for = steps.send(sent)
            except StopIteration as done:
                return done.value
            finally:
                self._clock.add(self._step, started)
            sent = yield waiting_for


class Worker:
    """A worker's runtime and the way a task uses it."""

    def __init__(self, server: Server, load: Load, spool_dir: str) -> None:
        settings = RuntimeSettings(
            scope=f"hot_path-{secrets.token_hex(4)}",
            registration=1,
            spool_dir=spool_dir,
            coordination=CoordinationConfig(Limits(concurrency=load.in_flight), budget="hot_path"),
            request_timeout_s=120.0,
            row_deadline_s=900.0,
            max_attempts=5,
        )
        self.runtime = Runtime(settings, Credentials({"value:token": TOKEN}))
        self._service = Service(MODEL, _API, server.host + PATH, MODEL, "value:token")
        self._caller = Caller("AI_QUERY", USER_AGENT, requester="bench", application_id="local-0", stage_id=0)
        self._window = ConcurrencyWindow(workers=2 * load.in_flight, read_ahead=16_384, fail_fast=True)
        self._keys = KeyMaker(self._service)
        self._single_flight: SingleFlight | None = None

    def answer(self, rows: int) -> Cost:
        """Answers that many rows."""
        before = self._now()
        for answers in answer_in_order(_batches(rows), self._answer, self.runtime.loop, self._window):
            assert all(isinstance(answer, str) for answer in answers or ())
        after = self._now()
        return Cost(*(end - start for start, end in zip(before, after, strict=True)))

    def pay_once(self, folder: Path) -> None:
        """From now on calls go through the cache, in a scope of their own."""
        self._single_flight = self.runtime.single_flight(
            AnswerScope(folder.name, folder, "local-0", folder.name, 3_600)
        )

    def watch(self, clock: StepClock) -> None:
        """Times the steps from now on."""
        client, api = self.runtime.client, api_for(_API)
        clock.watch(api, "build", "build")
        clock.watch(client._ledger, "intend", "intent")
        clock.watch_async(client._transport, "send", "send")
        clock.watch(api, "parse", "parse")
        clock.watch(client._ledger, "settle", "settle")

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Calls a function in the event loop's thread."""
        return self.runtime._on_loop(function)

    async def _answer(self, call: InferenceRequest) -> Any:
        if self._single_flight is None:
            return await self._value(call)
        return await self._single_flight.answer(self._keys.of(call), self._value, call)

    async def _value(self, call: InferenceRequest) -> Any:
        return (await self.runtime.client.infer(call, self._service, self._caller)).value

    def _now(self) -> tuple[float, float, float, float]:
        return time.perf_counter(), time.process_time(), self.on_loop(time.thread_time), time.thread_time()


def _batches(rows: int) -> Iterator[list[InferenceRequest]]:
    for start in range(0, rows, _BATCH):
        yield [InferenceRequest(prompt(number)) for number in range(start, min(start + _BATCH, rows))]


@contextmanager
def running_worker(load: Load) -> Iterator[Worker]:
    """A warm worker against a server of its own."""
    with running_server(load.latency) as server, tempfile.TemporaryDirectory(prefix="benchmarks-") as spool_dir:
        worker = Worker(server, load, spool_dir)
        try:
            worker.answer(_WARM_UP_ROWS)
            yield worker
        finally:
            worker.runtime.close()


def profiled(worker: Worker, rows: int) -> tuple[Cost, cProfile.Profile]:
    """Answers rows with the event loop's thread under cProfile."""
    profile = cProfile.Profile()
    worker.on_loop(profile.enable)
    cost = worker.answer(rows)
    worker.on_loop(profile.disable)
    return cost, profile


def show_steps(plain: Cost, watched: Cost, clock: StepClock, load: Load, console: Console) -> None:
    """Prints the rate and the CPU time a row, by step."""
    table = Table("CPU us a row", "", title=f"{load.rows / plain.seconds:,.0f} rows/s of at most {load.limit:,.0f}")
    table.columns[1].justify = "right"
    for step, seconds in clock.spent.items():
        table.add_row(f"  {step}", _micros(seconds, load.rows))
    rest = watched.loop_s - sum(clock.spent.values())
    table.add_row("  rest of the loop's thread, timing included", _micros(rest, load.rows))
    table.add_row("loop's thread", _micros(plain.loop_s, load.rows))
    table.add_row("caller's thread", _micros(plain.caller_s, load.rows))
    table.add_row("HTTP library's threads", _micros(plain.process_s - plain.loop_s - plain.caller_s, load.rows))
    table.add_row("process", _micros(plain.process_s, load.rows), style="bold")
    console.print(table)


def show_profile(profile: cProfile.Profile, load: Load, functions: int, console: Console) -> None:
    """Prints the functions with the most time of their own, in ms per 1,000 rows."""
    table = Table("own", "with callees", "calls a row", "function", title="Loop's thread, ms per 1,000 rows")
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = vars(pstats.Stats(profile))["stats"]
    for (file, line, name), (_, calls, own, total, _) in sorted(stats.items(), key=lambda item: -item[1][2])[
        :functions
    ]:
        place = name if file == "~" else f"{os.sep.join(file.split(os.sep)[-2:])}:{line} {name}"
        per_thousand = 1e6 / load.rows
        table.add_row(f"{own * per_thousand:.1f}", f"{total * per_thousand:.1f}", f"{calls / load.rows:.1f}", place)
    console.print(table, markup=False)


def _micros(seconds: float, rows: int) -> str:
    return f"{seconds * 1e6 / rows:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=32, help="half of the default of a machine with two workers")
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--pay-once", action="store_true", help="through the cache too")
    parser.add_argument("--profile", action="store_true", help="cProfile of the event loop's thread")
    parser.add_argument("--functions", type=int, default=30, help="lines of the profile")
    options = parser.parse_args()
    load = Load(options.rows, options.in_flight, Latency(options.latency_ms))
    console, clock = Console(), StepClock()
    with running_worker(load) as worker, tempfile.TemporaryDirectory(prefix="benchmarks-") as scopes:

        def new_scope(name: str) -> None:
            if options.pay_once:
                worker.pay_once(Path(scopes) / name)

        new_scope("plain")
        plain = worker.answer(load.rows)
        new_scope("profiled")
        profile = profiled(worker, load.rows)[1] if options.profile else None
        new_scope("watched")
        worker.watch(clock)
        watched = worker.answer(load.rows)
    show_steps(plain, watched, clock, load, console)
    if profile is not None:
        show_profile(profile, load, options.functions, console)
    sys.stdout.flush()
    os._exit(0)  # pyreqwest's own threads sometimes abort an interpreter that finalizes


if __name__ == "__main__":
    main()
