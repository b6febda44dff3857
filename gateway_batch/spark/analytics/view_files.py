"""The views of `sql/views`: a file is the statement that makes a view, under a comment that says what its rows are.

Files are numbered: a view reads only what comes before it. A view that has days from the aggregate, where there is one,
has a second file in `with_aggregate`. The files are made from `sql/templates` by scripts/write_sql.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gateway_batch.spark.analytics.sql_files import sql_folder
from gateway_batch.spark.session.sql_text import quoted

MARK = "By gateway_batch."
"""Ends the comment of each view, so that no one else's is replaced."""


@dataclass(frozen=True)
class View:
    """A view of the usage table.

    Attributes:
        name: without its schema.
        text: the statement, with `{usage_table}` and `{schema}` for those names.
        with_aggregate: the same for a schema that has the aggregate, with `{complete_before}` for the day before which
            days are read from there; None for a view that reads no rows of the usage table by itself.
    """

    name: str
    text: str
    with_aggregate: str | None = None

    def statement(self, usage_table: str, schema: str, complete_before: date | None = None) -> str:
        """The view as a statement that makes it, or makes it anew.

        Args:
            usage_table: the table it is about.
            schema: where the views are.
            complete_before: days before this one are in the aggregate; None: there is no aggregate.
        """
        has_both = complete_before is not None and self.with_aggregate is not None
        text = self.with_aggregate if has_both else self.text
        assert text is not None
        return text.format(usage_table=quoted(usage_table), schema=quoted(schema), complete_before=complete_before)


def read_views(folder: str = "views") -> list[View]:
    """The views of a folder of `sql/`, each after those that it reads."""
    return [_view(file) for file in sorted(sql_folder(folder).glob("[0-9]*.sql"))]


def _view(file: Path) -> View:
    _, _, name = file.stem.partition("_")
    with_aggregate = file.parent / "with_aggregate" / file.name
    return View(
        name,
        file.read_text(encoding="utf-8"),
        with_aggregate.read_text(encoding="utf-8") if with_aggregate.is_file() else None,
    )
