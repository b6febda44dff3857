"""Runs benchmarks by name: each against its control in the same run, printed and written as JSON.

Exit code 0: all goals are reached. 1: one is missed. 2: a run was wrong. 3: a comparison is void, and none is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    batch_job,
    cold_start,
    cpu_per_row,
    drain,
    fewest_requests,
    freshness,
    hostile_answers,
    ledger_overhead,
    memory,
    pandas_accessor,
    pay_once,
    rate_limit,
    refusals,
    throughput,
    transports,
    usage_dashboard,
)
from benchmarks.goals import Verdict, worst
from benchmarks.peers import side_by_side
from benchmarks.report import WrongRunError, save, show
from benchmarks.suite import Benchmark

RESULTS = Path("artifacts/benchmarks")
_MODULES = (
    throughput,
    cpu_per_row,
    batch_job,
    memory,
    rate_limit,
    refusals,
    pay_once,
    fewest_requests,
    ledger_overhead,
    hostile_answers,
    transports,
    pandas_accessor,
    drain,
    freshness,
    cold_start,
    usage_dashboard,
    side_by_side,
)
_ALL = {benchmark.name: benchmark for module in _MODULES for benchmark in module.BENCHMARKS}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help="of benchmarks; none: list them")
    parser.add_argument("--rows", type=_positive, help="rows of a run, the larger number where there are two")
    parser.add_argument("--repeats", type=_positive, help="runs of each side")
    parser.add_argument("--seconds", type=_positive, help="length of a run, where it has one")
    parser.add_argument("--peers", type=_words, help="packages to compare with, by comma")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"folder of the JSON files ({RESULTS})")
    options = vars(parser.parse_args())
    names, results = options.pop("names"), options.pop("results")
    given = {name: value for name, value in options.items() if value is not None}
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if not names:
        console.print(_list())
        return 0
    for name in names:
        if name not in _ALL:
            parser.error(f"no benchmark {name}; there are {', '.join(_ALL)}")
    chosen = [_ALL[name] for name in names]
    for name in given:
        if not any(name in benchmark.takes for benchmark in chosen):
            parser.error(f"--{name} means nothing to {', '.join(names)}")
    return worst([_run(benchmark, given, results, console) for benchmark in chosen])


def _run(benchmark: Benchmark, given: dict[str, object], results: Path, console: Console) -> Verdict:
    console.rule(f"{benchmark.name}: {benchmark.purpose}")
    try:
        report = benchmark.run(benchmark.options(given), console)
    except WrongRunError as error:
        console.print(f"[bold red]WRONG[/]: {error}")
        return Verdict.WRONG
    show(report, console)
    console.print(f"{save(report, results)}\n", style="dim")
    return report.verdict


def _list() -> Table:
    table = Table("benchmark", "", "options", "minutes")
    for benchmark in _ALL.values():
        options = (f"--{name} {_written(getattr(benchmark.defaults, name))}" for name in sorted(benchmark.takes))
        table.add_row(benchmark.name, benchmark.purpose, " ".join(options), f"{benchmark.minutes:g}")
    return table


def _written(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


if __name__ == "__main__":
    status = int(main())
    sys.stdout.flush()
    os._exit(status)  # pyreqwest's own threads sometimes abort an interpreter that finalizes
