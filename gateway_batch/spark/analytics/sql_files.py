"""SQL that is kept in files: inside the package in a wheel, in the repository's `sql/` otherwise."""

from __future__ import annotations

from pathlib import Path


def read_sql(folder: str, name: str) -> str:
    """The text of `sql/<folder>/<name>.sql`, with `{name}` for what is known where it runs."""
    return (sql_folder(folder) / f"{name}.sql").read_text(encoding="utf-8")


def sql_folder(folder: str) -> Path:
    """The folder `sql/<folder>`."""
    package = Path(__file__).parents[2]
    return next(root for root in (package / "sql", package.parent / "sql") if root.is_dir()) / folder
