"""The notebooks run from top to bottom in a kernel, and the pages in docs/notebooks show them as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbformat import NotebookNode

from scripts.write_notebooks import NOTEBOOKS, PAGES, SETUP, as_jupyter, names, run

SAID = {
    "batch_scoring": [
        "of them sent for this estimate",
        r"15 planned, 15 answered, 13 requests",
        r"0 planned, 0 answered, 0 requests, 0 USD",
    ],
    "extraction_and_search": [r"<td>48213</td>\s*<td>2026-10-02</td>\s*<td>mara@example.com</td>", "shutil.copytree"],
    "pandas_series": [
        r"<td>claude-sonnet-4-5-stand-in</td>\s*<td>5</td>\s*<td>0</td>",
        'databricks-gpt-5-4 <progress value="5" max="5">',
    ],
    "quickstart": [r"<td>14</td>\s*<td>6</td>\s*<td>6</td>"],
    "usage_and_cost": [r"<td>answered</td>\s*<td>50</td>", "each request is in both, with the same tokens and status"],
}
"""What must be in a notebook's output."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[NotebookNode]]:
    """What each notebook shows."""
    done = run(names(), tmp_path_factory.mktemp("notebooks"), timeout_s=900)
    return {
        name: [output for cell in notebook.cells for output in cell.get("outputs", [])]
        for name, notebook in done.items()
    }


def test_each_notebook_is_tried_here() -> None:
    assert names() == sorted(SAID)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(SAID))
def test_a_notebook_runs(name: str, outputs: dict[str, list[NotebookNode]]) -> None:
    text = "\n".join(map(said, outputs[name]))
    assert [pattern for pattern in SAID[name] if not re.search(pattern, text)] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs[name]) == 1


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_page_shows_its_notebook_and_links_to_what_exists(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    shown = page.replace("\r\n", "\n")
    missing = [cell.source for cell in as_jupyter(NOTEBOOKS / f"{name}.py").cells if cell.source not in shown]
    assert missing == [], "write it anew: PYTHONPATH=. python scripts/write_notebooks.py"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in link]
    assert links
    assert [link for link in links if not (PAGES / link).is_file()] == []


def test_databricks_lines_are_understood(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "# Databricks notebook source\n# MAGIC %md\n# MAGIC Why.\n\n# COMMAND ----------\n\nx = 1\n"
    )
    (tmp_path / "a.py").write_text(
        "# Databricks notebook source\n# MAGIC %md\n# MAGIC # Title\n# MAGIC\n# MAGIC Text.\n\n# COMMAND ----------\n\n"
        "# MAGIC %pip install x\n\n# COMMAND ----------\n\n# MAGIC %run ./other\n\n# COMMAND ----------\n\n"
        "y = x\nz = y\n"
    )
    cells = as_jupyter(tmp_path / "a.py").cells
    assert [(cell.cell_type, cell.source) for cell in cells] == [
        ("markdown", "# Title\n\nText."),
        ("code", "x = 1"),
        ("code", "y = x\nz = y"),
    ]
    (tmp_path / "b.py").write_text("# Databricks notebook source\n# MAGIC %scala\n# MAGIC 1\n")
    with pytest.raises(ValueError, match="%scala"):
        as_jupyter(tmp_path / "b.py")
    (tmp_path / "c.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="does not begin with"):
        as_jupyter(tmp_path / "c.py")


def test_the_setup_asks_databricks_for_its_token_and_has_none_in_it() -> None:
    text = (NOTEBOOKS / f"{SETUP}.py").read_text(encoding="utf-8")
    assert 'dbutils.secrets.get("ai_gateway", "token")' in text


def said(output: NotebookNode) -> str:
    data = output.get("data", {})
    return str(output.get("text", "")) + "".join(str(data.get(kind, "")) for kind in ("text/html", "text/plain"))
