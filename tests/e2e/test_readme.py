"""What the README and the docs show runs as written."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway_batch.devgateway import Settings, running
from tests.e2e.conftest import REVIEWS, exit_code
from tests.unit.command import command

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

RUN_SQL = """
spark.range(30).selectExpr("id", "'Lake ' || id || ' is a deep and quiet lake.' AS text_column") \\
    .createOrReplaceTempView("my_table")
with gb.register_ai_query(spark):
    for statement in {statements!r}:
        print("rows", len(spark.sql(statement).collect()))
"""

RUN_CLIENT = """
print("client", bool(summary), len(answers), len(vectors))
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_and_sql_blocks_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "reviews.csv").write_text(REVIEWS)
    (python, columns, standalone, job, limits), (sql,) = blocks("python"), blocks("sql")
    statements = [statement for statement in sql.split(";") if statement.strip()]
    script = python + columns + RUN_SQL.format(statements=statements) + standalone + RUN_CLIENT + job + limits
    with (
        running(Settings(port=0, token="t0ken", ledger=place / "ledger.sqlite")) as server,
        patch.dict("os.environ", {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}),
    ):
        exec(compile(script, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"databricks-gpt-5-4\|\s+200\|\s+3\|", printed), printed
    assert "kind" in printed
    assert re.findall(r"rows (\d+)", printed) == ["10", "30", "30", "30"]
    assert "client True 2 2" in printed
    assert re.search(r"^3 3 0\.\d+$", printed, re.MULTILINE), printed


def test_the_shell_blocks_run(place: Path) -> None:
    (place / "reviews.csv").write_text(REVIEWS)
    shown = [
        shlex.split(line, comments=True)[1:]
        for block in blocks("bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith(("gateway-batch sql", "gateway-batch usage"))
    ]
    assert len(shown) == 2
    for words in shown:
        done = command(*words)
        assert done.returncode == 0, done.stderr
    assert (place / "answers.parquet").is_file()


@pytest.mark.parametrize("script", ["write_configuration_doc.py", "write_reference.py", "write_semantics_doc.py"])
def test_a_written_page_is_up_to_date(script: str) -> None:
    assert exit_code(runpy.run_path, str(ROOT / "scripts" / script), "--check") == 0


def test_the_pages_that_are_linked_exist() -> None:
    links = re.findall(r"\]\(((?:docs/)?\w+\.md)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
