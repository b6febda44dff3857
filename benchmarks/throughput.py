"""`ai_query` against a raw client loop, in turns, on one machine.

Exit code 0: the goal is reached. 1: it is missed. 2: a run was wrong. 3: the comparison is void.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.children import Served, Server, run_control, running_server
from benchmarks.load import Load
from benchmarks.ours import OurRun, OurSide, our_side
from benchmarks.report import Comparison, ControlRun, as_json, describe_machine, show

_WARM_UP_ROWS = 2_000


class WrongRunError(Exception):
    """A run did not send what it should have, or did not record it."""


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


def measure_ours(server: Server, side: OurSide, load: Load) -> OurRun:
    """One checked run of ours."""
    server.reset()
    run = side.run(load.rows)
    check_served("ai_query", load, server.served())
    if run.recorded != load.rows:
        raise WrongRunError(f"ai_query: the usage table has {run.recorded} more rows for {load.rows} requests")
    return run


def compare(load: Load, repeats: int, flush_interval_s: float, console: Console) -> Comparison:
    """Runs both sides in turns, after a warm-up."""
    warm_up = Load(_WARM_UP_ROWS, load.in_flight, load.latency_ms)
    comparison = Comparison(load, flush_interval_s, [], [])
    with (
        running_server(load.latency_ms) as server,
        tempfile.TemporaryDirectory(prefix="benchmarks-", ignore_cleanup_errors=True) as warehouse,
        our_side(server, load, warehouse, flush_interval_s) as side,
    ):
        side.prepare(_WARM_UP_ROWS)
        side.prepare(load.rows)
        measure_ours(server, side, warm_up)
        for repeat in range(1, repeats + 1):
            comparison.control.append(measure_control(server, load))
            comparison.ours.append(measure_ours(server, side, load))
            _show_progress(comparison, repeat, repeats, console)
    return comparison


def _show_progress(comparison: Comparison, repeat: int, repeats: int, console: Console) -> None:
    rows = comparison.load.rows
    control, ours = rows / comparison.control[-1].seconds, rows / comparison.ours[-1].seconds
    console.print(f"{repeat} of {repeats}: raw client loop {control:,.0f} rows/s, ai_query {ours:,.0f} rows/s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flush-interval", type=float, default=10.0, help="seconds; 0: only after each run")
    parser.add_argument("--json", type=Path, help="file for everything measured")
    options = parser.parse_args()
    console, machine = Console(), describe_machine()
    load = Load(options.rows, options.in_flight, options.latency_ms)
    try:
        comparison = compare(load, options.repeats, options.flush_interval, console)
    except WrongRunError as error:
        console.print(f"[bold red]WRONG[/]: {error}")
        return 2
    show(comparison, machine, console)
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(comparison, machine), indent=2) + "\n")
    return comparison.verdict.value


if __name__ == "__main__":
    sys.exit(main())
