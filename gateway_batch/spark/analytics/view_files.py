"""The views of `sql/views`: a file is a query under a comment that says what its rows and columns are.

The comment's first paragraph becomes the view's own; after `Columns:` each `name: text` is a column's, in the order in
which the query has them. Files are numbered: a view reads only what comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from gateway_batch.spark.analytics.sql_files import sql_folder
from gateway_batch.spark.session.sql_text import literal, quoted

MARK = "By gateway_batch."
"""Ends the comment of each view, so that no one else's is replaced."""

_FILE = re.compile(r"\d+_(?P<name>\w+)\.sql")
_COLUMN = re.compile(r"(?P<name>\w+): (?P<text>.+)")


@dataclass(frozen=True)
class View:
    """A view of the usage table.

    Attributes:
        name: without its schema.
        comment: what a row is.
        columns: name and comment of each column, in order.
        text: the file, with `{usage_table}` and `{schema}` for those names, and `{complete_before}` for the day that
            parts what the aggregate has from what it has not, the query after the last UNION ALL.
    """

    name: str
    comment: str
    columns: tuple[tuple[str, str], ...]
    text: str

    @property
    def reads_aggregate(self) -> bool:
        """Whether it reads the aggregate where there is one."""
        return "{complete_before}" in self.text

    def statement(self, usage_table: str, schema: str, complete_before: date | None = None) -> str:
        """The view as a statement that makes it, or makes it anew.

        Args:
            usage_table: the table it is about.
            schema: where the views are.
            complete_before: days before this one are in the aggregate; None: there is no aggregate.
        """
        columns = ",\n".join(f"  {name} COMMENT {literal(comment)}" for name, comment in self.columns)
        comments, query = self._parted(usage_table, schema, complete_before)
        head = "".join(f"{line}\n" for line in comments)
        view = quoted(f"{schema}.{self.name}")
        return (
            f"{head}CREATE OR REPLACE VIEW {view} (\n{columns}\n)\n"
            f"COMMENT {literal(f'{self.comment} {MARK}')}\nAS\n{query}"
        )

    def query(self, usage_table: str, schema: str, complete_before: date | None = None) -> str:
        """The view's query alone; arguments as for `statement`."""
        return self._parted(usage_table, schema, complete_before)[1]

    def _parted(self, usage_table: str, schema: str, complete_before: date | None) -> tuple[list[str], str]:
        names = {"usage_table": quoted(usage_table), "schema": quoted(schema)}
        comments, query = _parted(self.text.format(**names, complete_before=complete_before))
        if self.reads_aggregate and complete_before is None:
            query = _rows_alone(query)
        return comments, query


def read_views(folder: str = "views") -> list[View]:
    """The views of a folder of `sql/`, each after those that it reads."""
    files = sorted(
        (file for file in sql_folder(folder).glob("*.sql") if _FILE.fullmatch(file.name)), key=lambda f: f.name
    )
    return [_view(file.name, file.read_text(encoding="utf-8")) for file in files]


def _view(file: str, text: str) -> View:
    found = _FILE.fullmatch(file)
    assert found is not None
    lines = [line.removeprefix("--").removeprefix(" ") for line in _parted(text)[0]]
    first = lines.index("")
    columns = tuple(_columns(lines[lines.index("Columns:") + 1 :]))
    return View(found["name"], " ".join(lines[:first]), columns, text)


def _rows_alone(query: str) -> str:
    """The part of a query that reads the usage table's rows, all of them."""
    rows = query.rpartition("UNION ALL\n")[2]
    return rows[: rows.rindex("WHERE ")]


def _parted(text: str) -> tuple[list[str], str]:
    """The comment lines at the head of a file, and the query after them."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return lines[:begin], "\n".join(lines[begin:]) + "\n"


def _columns(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names and texts; a line that begins with a blank goes on with the one before."""
    for line in "\n".join(lines).replace("\n  ", " ").splitlines():
        found = _COLUMN.fullmatch(line)
        if found is None:
            raise ValueError(f"no column's comment: {line!r}")
        yield found["name"], found["text"]
