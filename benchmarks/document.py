"""Puts the last results into docs/performance.md: each benchmark's between its two marks.

A mark is `<!-- benchmark: NAME -->`, up to `<!-- end -->`. Benchmarks without results keep what stands there.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.__main__ import RESULTS

_DOCUMENT = Path("docs/performance.md")
_SECTION = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The document with the sections of these results, by the benchmarks' names."""

    def section(match: re.Match[str]) -> str:
        start, name, end = match.groups()
        return f"{start}{render(results[name])}{end}" if name in results else match.group()

    return _SECTION.sub(section, text)


def render(result: Mapping[str, Any]) -> str:
    """One benchmark's result as Markdown."""
    table, figures = result["table"], result["figures"]
    parts = [result["load"], "", *_table(table["columns"], table["rows"])]
    if figures:
        goals = [[f["name"], f["goal"], f["figure"], "reached" if f["reached"] else "missed"] for f in figures]
        parts += ["", *_table(["", "goal", "figure", ""], goals)]
    if result["void"]:
        parts += ["", f"Void: {result['void']}."]
    parts += ["", *(f"- {note}" for note in result["notes"]), f"- {_where(result)}", ""]
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = [_line(columns), f"|---|{'---:|' * (len(columns) - 1)}"]
    return [*head, *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _where(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, load {machine['load_before']:.2f} "
        f"before; {versions}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.document", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"folder of the JSON files ({RESULTS})")
    folder = parser.parse_args().results
    results = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    _DOCUMENT.write_text(fill(_DOCUMENT.read_text(), results))


if __name__ == "__main__":
    main()
