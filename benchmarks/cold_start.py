"""How long the first answer takes from the start of a process, and what an import costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from rich.console import Console

from benchmarks.children import Server, running_server
from benchmarks.goals import Comparison, Figure, Goal
from benchmarks.latency import Latency
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import Report, Table
from benchmarks.suite import Benchmark, Options

_HEAVY = ("pyspark", "pandas", "pyarrow")
_LIGHT = Goal("of pyspark, pandas, pyarrow, imported by gateway_batch", Comparison.EXACTLY, 0, ".0f")
_IMPORTS = {
    "nothing": "pass",
    "import pyspark.sql": "import pyspark.sql",
    "import gateway_batch": "import gateway_batch",
}
_IMPORTS_A_REPEAT = 5

_NOTHING = "first answer: Spark with a function that does nothing"
_AI_QUERY = "first answer: Spark with ai_query"
_CLIENT = "first answer: gb.Client, no Spark"


def _measure(options: Options, console: Console) -> Report:
    machine, import_count = describe_machine(), options.repeats * _IMPORTS_A_REPEAT
    heavy = heavy_imports()
    imports: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    starts: dict[str, list[float]] = {_NOTHING: [], _AI_QUERY: [], _CLIENT: []}
    with running_server(Latency(0)) as server:
        for repeat in range(1, options.repeats + 1):
            for _ in range(_IMPORTS_A_REPEAT):
                for name, code in _IMPORTS.items():
                    imports[name].append(_timed(["-c", code]))
            for name, kind in ((_NOTHING, "nothing"), (_AI_QUERY, "ai_query"), (_CLIENT, "client")):
                starts[name].append(_first_answer(kind, server))
            console.print(f"{repeat} of {options.repeats}: {_AI_QUERY} after {starts[_AI_QUERY][-1]:.1f} s")
    return Report(
        benchmark="cold_start",
        load=f"{options.repeats} starts and {import_count} imports of each kind in turns; medians.",
        table=_table(imports, starts),
        figures=[Figure(_LIGHT, len(heavy))],
        machine=machine,
        versions=describe_versions(),
        notes=[
            "From the start of the interpreter to the first answer in hand, Delta's session of local_session() on both "
            "sides. Files are in the page cache.",
            f"gateway_batch imports {', '.join(heavy) or 'none of ' + ', '.join(_HEAVY)}.",
        ],
        measured={"imports_s": imports, "first_answers_s": starts},
    )


def heavy_imports() -> list[str]:
    """Which of pyspark, pandas and pyarrow `import gateway_batch` brings in."""
    code = f"import gateway_batch, json, sys; print(json.dumps([name for name in {_HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    names: list[str] = json.loads(done.stdout)
    return names


def _timed(arguments: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True)
    return time.perf_counter() - started


def _first_answer(kind: str, server: Server) -> float:
    """Seconds until the child says that it has its answer; its end is not waited for by the clock."""
    command = [sys.executable, "-m", "benchmarks.first_answer", kind, server.host]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "answered\n":
            raise RuntimeError(f"{' '.join(command)} had no answer: run it to see why")
        return time.perf_counter() - started


def _table(imports: dict[str, list[float]], starts: dict[str, list[float]]) -> Table:
    rows = [_row(name, seconds, over=imports["nothing"]) for name, seconds in imports.items()]
    rows += [_row(name, starts[name], over=starts[_NOTHING]) for name in (_NOTHING, _AI_QUERY)]
    rows.append([_CLIENT, f"{median(starts[_CLIENT]):.3f}", ""])
    return Table(["", "seconds", "over the control"], rows)


def _row(name: str, seconds: list[float], over: list[float]) -> list[str]:
    more = median(seconds) - median(over)
    return [name, f"{median(seconds):.3f}", "control" if seconds is over else f"{more:+.3f}"]


BENCHMARKS = [
    Benchmark("cold_start", "first answer and import times", _measure, Options(repeats=3), 2),
]
