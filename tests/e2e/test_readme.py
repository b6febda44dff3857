"""What the README and the docs show runs as written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_batch.devgateway import Settings, running
from tests.e2e.conftest import Run
from tests.e2e.test_command_line import REVIEWS
from tests.quick_start import quick_driver

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


@pytest.mark.timeout(300)
def test_the_python_and_sql_blocks_run(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    (python, columns, standalone, job, limits), (sql,) = blocks("python"), blocks("sql")
    statements = [statement for statement in sql.split(";") if statement.strip()]
    script = python + columns + RUN_SQL.format(statements=statements) + standalone + RUN_CLIENT + job + limits
    with running(Settings(port=0, token="t0ken", ledger=tmp_path / "ledger.sqlite")) as server:
        environment = {
            "DATABRICKS_HOST": server.host,
            "DATABRICKS_TOKEN": "t0ken",
            "PATH": "/usr/bin:/bin",
            "SPARK_SUBMIT_OPTS": quick_driver(),
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"databricks-gpt-5-4\|\s+200\|\s+3\|", done.stdout), done.stdout
    assert "kind" in done.stdout
    assert re.findall(r"rows (\d+)", done.stdout) == ["10", "30", "30", "30"]
    assert "client True 2 2" in done.stdout
    assert re.search(r"^3 3 0\.\d+$", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.timeout(300)
def test_the_shell_blocks_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    commands = [
        shlex.split(line, comments=True)[1:]
        for block in blocks("bash")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith(("gateway-batch sql", "gateway-batch usage"))
    ]
    assert len(commands) == 2
    for command in commands:
        done = run(*command)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "answers.parquet").is_dir()


@pytest.mark.parametrize("script", ["write_configuration_doc.py", "write_reference.py", "write_semantics_doc.py"])
def test_a_written_page_is_up_to_date(script: str) -> None:
    check = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    assert subprocess.run(check, check=False).returncode == 0


def test_the_pages_that_are_linked_exist() -> None:
    links = re.findall(r"\]\(((?:docs/)?\w+\.md)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
