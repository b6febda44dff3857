"""The conformance cases: what Databricks documents and what we do, as data (`*.toml` next to this module).

A case is a SQL statement with its set-up and what has to come of it. Fields:
    name         unique, a few words
    databricks   the documented behaviour, in a sentence; the page docs/semantics.md is made from these
    differs      where ours is different and why; empty if it isn't
    setup        statements run before; new views, tables, variables and functions and the session's time zone are
                 taken back after the case
    sql          the statement; several lines are fine
    args         values of its parameter markers
    faults       a fault script for the development gateway
    schema       the result's columns as Spark's simple string, e.g. `struct<answer:string>`
    rows         the rows as JSON, a list of lists; dates and decimals as strings
    matches      regular expressions that the JSON of the rows has to match, where it can't be given in full
    error        the error class, e.g. `AI_FUNCTION_HTTP_REQUEST_ERROR`, empty for one of our settings, which have none;
                 with `at` = `analysis` or `run`
    says         texts that the error, or with `failOnError => false` the rows, must hold
    requests     how many requests reach a server, exactly
    sent         a part of the one JSON body that `echo` or `raw` gets, as JSON: objects may have more members
    tags         the request tags that `echo` or `raw` gets, as JSON: a list of one object a request, in any order
    connect      why the case is not for Spark Connect; empty if it is
    counted      `classic` where how many requests there are is Spark's choice on Spark Connect, as under a LIMIT

Endpoints: any name of the development gateway's (`databricks-gpt-5-4`, `databricks-gte-large-en`, ...), and those of
our own server: `echo` speaks any API and answers with its prompt, so that answers can be given in full; of `raw` the
prompt is the whole body of the answer; `databricks-renamed` is `echo` under a Databricks name.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PLACES = "Where it can stand"
"""The section whose cases are each a shape of a query."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case; `section` is its file's title."""

    section: str
    name: str
    databricks: str
    sql: str
    differs: str = ""
    setup: list[str] = field(default_factory=list)
    args: dict[str, Any] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    schema: str | None = None
    rows: str | None = None
    matches: list[str] = field(default_factory=list)
    error: str | None = None
    at: str = "analysis"
    says: list[str] = field(default_factory=list)
    requests: int | None = None
    sent: str | None = None
    tags: str | None = None
    connect: str = ""
    counted: str = ""

    def __post_init__(self) -> None:
        if self.at not in ("analysis", "run"):
            raise ValueError(f"{self.name}: at is {self.at!r}")
        if self.error is None and self.rows is None and not self.matches and not self.says:
            raise ValueError(f"{self.name}: expects nothing of its rows")

    @property
    def is_about_rows_alone(self) -> bool:
        """Whether its query may be a branch of a larger one: neither its requests nor its place in a plan count."""
        others = (self.error, self.requests, self.sent, self.tags)
        return others == (None,) * 4 and not self.setup and not self.faults and self.section != PLACES


def read_cases() -> list[Case]:
    """All cases, in the order of the files' names; a name may stand once only."""
    cases = [case for path in sorted(FOLDER.glob("*.toml")) for case in _read(path)]
    names = [case.name for case in cases]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"cases of the same name: {', '.join(sorted(twice))}")
    return cases


def _read(path: Path) -> list[Case]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    known = {each.name for each in fields(Case)}
    for entry in content["case"]:
        if unknown := set(entry) - known:
            raise ValueError(f"{path.name}: {entry.get('name')}: unknown fields {', '.join(sorted(unknown))}")
    return [Case(section=content["section"], **entry) for entry in content["case"]]
