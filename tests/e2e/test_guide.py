"""What docs/guide.md shows runs as written: its Python as one program, its SQL over thirty texts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway_batch.devgateway import Settings, running
from tests.e2e.conftest import REVIEWS
from tests.pages import blocks, commands
from tests.unit.command import command

pytestmark = pytest.mark.timeout(1800)

PAGE = "docs/guide.md"
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


def test_the_python_and_sql_blocks_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "reviews.csv").write_text(REVIEWS)
    python, columns, standalone, job, limits = (block.text for block in blocks(PAGE, "python"))
    (sql,) = blocks(PAGE, "sql")
    statements = [statement for statement in sql.text.split(";") if statement.strip()]
    script = python + columns + RUN_SQL.format(statements=statements) + standalone + RUN_CLIENT + job + limits
    with (
        running(Settings(port=0, token="t0ken", ledger=place / "ledger.sqlite")) as server,
        patch.dict("os.environ", {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}),
    ):
        exec(compile(script, PAGE, "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"databricks-gpt-5-4\|\s+200\|\s+3\|", printed), printed
    assert "kind" in printed
    assert re.findall(r"rows (\d+)", printed) == ["10", "30", "30", "30"]
    assert "client True 2 2" in printed
    assert re.search(r"^3 3 0\.\d+$", printed, re.MULTILINE), printed


def test_the_shell_block_runs(place: Path) -> None:
    (place / "reviews.csv").write_text(REVIEWS)
    (block,) = blocks(PAGE, "bash")
    query, usage, serve = (shlex.split(line, comments=True)[1:] for line in commands(block))
    for words in (query, usage, [*serve, "--help"]):
        done = command(*words)
        assert done.returncode == 0, done.stderr
    assert (place / "answers.parquet").is_file()
