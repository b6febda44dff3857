"""Writes docs/semantics.md from its head and the conformance cases. `--check` only compares them."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.conformance.cases import Case, read_cases  # noqa: E402

PAGE = ROOT / "docs" / "semantics.md"
HEAD = ROOT / "docs" / "semantics.head.md"
LONGEST_QUERY = 200
LONGEST_ROWS = 70
CLASS = re.compile(r"AI_FUNCTION_\w+")
ONE_CALL = re.compile(r"SELECT (ai_query\((?:(?! FROM ).)*\)(?:\.\w+)?)(?: AS \w+)?", re.DOTALL)


def _code(text: str, longest: int) -> str:
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    if len(text) > longest:
        text = f"{text[:longest].rstrip()} ..."
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _outcome(case: Case) -> str:
    if case.error is not None:
        what = f"`{case.error}`" if case.error else "refused"
        return f"{what} when {'analysed' if case.at == 'analysis' else 'run'}"
    if case.rows is not None:
        return "no row" if case.rows == "[]" else _code(case.rows, LONGEST_ROWS)
    if error := CLASS.search(f"{case.matches}{case.sql}"):
        return f"`{error[0]}` in its row"
    return "as described"


def _sent(case: Case) -> str:
    match case.requests:
        case None:
            return ""
        case 0:
            return "; nothing sent"
        case 1:
            return "; 1 request"
    return f"; {case.requests} requests"


def _query(case: Case) -> str:
    """A call that stands alone without its SELECT; else the query, behind the set-up that there is room for."""
    if not case.setup and (call := ONE_CALL.fullmatch(case.sql)):
        return _code(call[1], LONGEST_QUERY)
    statements = [*case.setup, case.sql]
    while len(statements) > 1 and len("; ".join(statements)) > LONGEST_QUERY:
        del statements[0]
    return _code("; ".join(statements), LONGEST_QUERY)


def _row(case: Case) -> str:
    documented = f"*{case.name[0].upper()}{case.name[1:]}.* {case.databricks}".replace("|", "\\|")
    cells = (documented, f"{_query(case)}<br>{_outcome(case)}{_sent(case)}", case.differs.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The page's text."""
    sections = [
        "\n".join([f"### {title}\n", "| Databricks | here | differs |", "|---|---|---|", *map(_row, cases)])
        for title, cases in groupby(read_cases(), key=lambda case: case.section)
    ]
    return "\n\n".join([HEAD.read_text(encoding="utf-8").rstrip(), *sections]) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE.name} is out of date: run {sys.argv[0]}")
    PAGE.write_text(page(), encoding="utf-8")
