"""The views of `sql/views`. Each file is the statement that creates a view, under a comment that describes it.

Files are numbered, and a view reads only what comes before it. A view that reads the aggregate, if there is one, has a
second file in `with_aggregate`. scripts/write_sql.py renders the files from `sql/templates`.
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
        with_aggregate: the statement for a schema with the aggregate: days before `{complete_before}` come from there.
            None for a view that is the same either way.
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
