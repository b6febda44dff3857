"""Runs the notebooks, and writes them with their output as pages: `docs/notebooks/<name>.md`, with their pictures.

    PYTHONPATH=. python scripts/write_notebooks.py            # all of them
    PYTHONPATH=. python scripts/write_notebooks.py quickstart
    PYTHONPATH=. python scripts/write_notebooks.py --ipynb FOLDER   # as Jupyter's, not run

The notebooks are in Databricks' source format, which has a line of its own between cells, and Markdown and magic
commands as comments. `%run` is replaced by what it runs, `%pip` is left out.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
PAGES = ROOT / "docs/notebooks"
SETUP = "setup"

_FIRST_LINE = "# Databricks notebook source\n"
_BETWEEN = re.compile(r"^# COMMAND -+\n", re.MULTILINE)
_MAGIC = re.compile(r"^# MAGIC ?", re.MULTILINE)
_KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
_ANEW = """
%reset -f
import os
from pyspark.sql import SparkSession

if SparkSession.getActiveSession():
    SparkSession.getActiveSession().stop()
for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
    os.environ.pop(name, None)
os.mkdir({folder!r})
os.chdir({folder!r})
"""
"""What a kernel does before each notebook."""


def names() -> list[str]:
    """The notebooks that are for reading."""
    return sorted(path.stem for path in NOTEBOOKS.glob("*.py") if path.stem != SETUP)


def cells_of(path: Path) -> list[NotebookNode]:
    """A notebook's cells as Jupyter's.

    Raises:
        ValueError: it is not in Databricks' source format, or has a magic command that is not known here.
    """
    text = path.read_text(encoding="utf-8")
    if not text.startswith(_FIRST_LINE):
        raise ValueError(f"{path} does not begin with {_FIRST_LINE!r}")
    return [cell for part in _BETWEEN.split(text.removeprefix(_FIRST_LINE)) for cell in _cells(part.strip(), path)]


def _cells(text: str, path: Path) -> list[NotebookNode]:
    if not text.startswith("# MAGIC"):
        return [new_code_cell(text)] if text else []
    command, _, rest = _MAGIC.sub("", text).partition("\n")
    kind, _, argument = command.partition(" ")
    match kind:
        case "%md":
            return [new_markdown_cell("\n".join(filter(None, [argument, rest])))]
        case "%run":
            return [cell for cell in cells_of(path.parent / f"{argument.strip()}.py") if cell.cell_type == "code"]
        case "%pip":
            return []
    raise ValueError(f"{path}: {command}")


def as_jupyter(path: Path) -> NotebookNode:
    """A notebook as Jupyter's."""
    return new_notebook(cells=cells_of(path), metadata={"kernelspec": _KERNEL, "language_info": {"name": "python"}})


def run(chosen: Sequence[str], folder: Path, timeout_s: int = 600) -> dict[str, NotebookNode]:
    """Runs notebooks one after the other, with the development gateway.

    One kernel, and so one JVM, runs all of them; each has a Spark session and a working folder of its own.

    Raises:
        CellExecutionError: a cell failed, with what it said; it ends all.
    """
    notebooks = {name: as_jupyter(NOTEBOOKS / f"{name}.py") for name in chosen}
    together = new_notebook(metadata={"kernelspec": _KERNEL})
    for name, notebook in notebooks.items():
        together.cells += [new_code_cell(_ANEW.format(folder=str(folder / name))), *notebook.cells]
    done = iter(
        NotebookClient(together, timeout=timeout_s, resources={"metadata": {"path": str(folder)}}).execute().cells
    )
    for notebook in notebooks.values():
        next(done)
        notebook.cells = list(islice(done, len(notebook.cells)))
    return notebooks


def write_page(name: str, notebook: NotebookNode) -> None:
    """Writes a notebook that was run as a page."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    prefix = f"images/{name}"
    page, resources = MarkdownExporter().from_notebook_node(
        notebook, resources={"output_files_dir": "images", "unique_key": name}
    )
    (PAGES / prefix).parent.mkdir(parents=True, exist_ok=True)
    for old in (PAGES / "images").glob(f"{name}_*"):
        old.unlink()
    for file, content in resources["outputs"].items():
        (PAGES / file).write_bytes(content)
    note = f"<!-- Written by scripts/write_notebooks.py from notebooks/{name}.py: edit that. -->\n\n"
    (PAGES / f"{name}.md").write_text(note + page.strip() + "\n", encoding="utf-8")


def main() -> None:
    """Runs the chosen notebooks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*names(), []], help="default: all")
    parser.add_argument("--ipynb", type=Path, metavar="FOLDER", help="write them for Jupyter, and don't run them")
    arguments = parser.parse_args()
    chosen = arguments.names or names()
    if arguments.ipynb:
        arguments.ipynb.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            nbformat.write(as_jupyter(NOTEBOOKS / f"{name}.py"), arguments.ipynb / f"{name}.ipynb")
        return
    with tempfile.TemporaryDirectory(prefix="notebooks-") as folder:
        for name, notebook in run(chosen, Path(folder)).items():
            write_page(name, notebook)


if __name__ == "__main__":
    main()
