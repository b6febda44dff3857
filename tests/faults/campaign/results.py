"""The results' file, a JSON object a line, and what it says in all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.campaign.plan import NOBODY
from tests.faults.campaign.run_ledger import AGREE, BROKEN, VERDICTS

Result = dict[str, Any]


def read(path: Path, where: str, seeds: Iterable[int]) -> dict[int, Result]:
    """The last result of each of these seeds; a line that a kill cut off is passed over."""
    wanted, found = set(seeds), {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if result["where"] == where and result["seed"] in wanted:
            found[int(result["seed"])] = result
    return found


def still_to_do(found: dict[int, Result], seeds: Iterable[int]) -> list[int]:
    """Seeds without a result, or whose run was broken."""
    return [seed for seed in seeds if seed not in found or found[seed]["verdict"] == BROKEN]


def append(path: Path, result: Result) -> None:
    """Adds a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() and path.read_bytes()[-1:] != b"\n":  # a kill cut the last line off
            file.write(b"\n")
        file.write(json.dumps(result).encode() + b"\n")


def is_right(result: Result) -> bool:
    """Whether it is as it should be."""
    return bool(result["verdict"] == AGREE)


def line(result: Result) -> str:
    """A result on a line."""
    met = ", ".join(f"{fault['kind']} ({fault['met']})" for fault in result.get("faults", ()))
    classes = ", ".join(f"{count} {name}" for name, count in result.get("classes", {}).items()) or "all matched"
    wrong = "".join(f"\n    {each}" for each in result["wrong"])
    return (
        f"{result['where']} {result['seed']:>4} {result['verdict']:<8} {result['seconds']:>5.1f} s  "
        f"{result.get('sent', 0)} sent, {result.get('rows', 0)} rows, {classes}; {met}{wrong}"
    )


def summary(results: Sequence[Result]) -> str:
    """All results as a table of Markdown; a run counts for the faults that met someone."""
    verdicts = Counter(result["verdict"] for result in results)
    totals: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    for result in results:
        totals.update({name: result.get(name, 0) for name in ("sent", "rows", "kills")})
        totals.update(result.get("classes", {}))
        for kind in {fault["kind"] for fault in result.get("faults", ()) if fault["met"] != NOBODY}:
            kinds.setdefault(kind, Counter())[result["verdict"]] += 1
    seconds = [result["seconds"] for result in results] or [0]
    head = f"| | runs | {' | '.join(VERDICTS)} |\n|---|---|{'---|' * len(VERDICTS)}"
    rows = [_row("all", verdicts), *(_row(kind, kinds[kind]) for kind in sorted(kinds))]
    counted = ", ".join(f"{count} {name}" for name, count in totals.items())
    return "\n".join(
        [head, *rows, "", f"{counted}; {median(seconds):.1f} s a run (median), {max(seconds):.1f} s at most"]
    )


def _row(name: str, verdicts: Counter[str]) -> str:
    return f"| {name} | {verdicts.total()} | {' | '.join(str(verdicts[each]) for each in VERDICTS)} |"
