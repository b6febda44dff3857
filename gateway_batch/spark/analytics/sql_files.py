"""SQL that is kept in files: beside the package in a wheel, in the repository's `sql/` otherwise."""

from __future__ import annotations

from pathlib import Path


def read_sql(folder: str, name: str) -> str:
    """The text of `sql/<folder>/<name>.sql`, its comment lines left out."""
    lines = (sql_folder(folder) / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def sql_folder(folder: str) -> Path:
    """The folder `sql/<folder>`."""
    package = Path(__file__).parents[2]
    return next(root for root in (package / "sql", package.parent / "sql") if root.is_dir()) / folder
