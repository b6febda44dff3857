"""Runs the code blocks of pages in the current folder: first those of a shell, then those of Python and SQL.

A reader's machine has the views `mails` and `reviews`, the files they are of, a table `inbox`, and a gateway.
Providers' addresses and models are those of the development gateway. What names a `system.` table is for Databricks: it
is checked, not run.
"""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
import shlex
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pyspark.sql import SparkSession

import gateway_batch as gb
from tests.e2e.conftest import end_session, session
from tests.pages import Block, blocks, commands
from tests.unit.command import command

OF_DATABRICKS = re.compile(r"\bsystem\.\w+\.\w+")
ROUTES = {
    "https://api.openai.com/v1": "openai/v1",
    "https://api.anthropic.com/v1": "anthropic/v1",
    "https://generativelanguage.googleapis.com/v1beta": "gemini/v1beta",
    "http://127.0.0.1:4000/v1": "openai/v1",
    "http://127.0.0.1:5000/gateway/mlflow/v1": "mlflow/v1",
    "http://127.0.0.1:8000/v1": "openai/v1",
    "http://127.0.0.1:8080/v1": "openai/v1",
    "http://127.0.0.1:11434/v1": "openai/v1",
}
MODELS = {
    "any": "databricks-gpt-5-4",
    "chat": "databricks-gpt-5-4",
    "claude-sonnet-4-5": "databricks-claude-sonnet-4-5",
    "gemini-2.5-flash": "databricks-gemini-2-5-flash",
    "gpt-5.4-mini": "databricks-gpt-5-4-mini",
    "llama3.2": "databricks-llama-4-maverick",
    "meta-llama/Llama-3.3-70B-Instruct": "databricks-meta-llama-3-3-70b-instruct",
    "text-embedding-3-small": "databricks-gte-large-en",
}
CHECKED_APART = ("make", "cd", "export", "pip", "databricks", ".venv/bin/python")
"""By `test_docs`, as far as they can be."""
SERVES_UNTIL_STOPPED = "serve"
TAKES_THE_ACTIVE_SESSION = (
    "run", "estimate", "reconcile", "dashboard", "usage flush", "usage maintain", "usage import",
)  # fmt: skip
STARTS_A_SESSION = ("demo", "sql")


@dataclass(frozen=True)
class Outcome:
    """What went wrong in a block, and what it printed."""

    fault: str | None
    printed: str


def run(pages: Sequence[str]) -> dict[str, Outcome]:
    """What became of each block, by its name."""
    found = [block for page in pages for block in blocks(page)]
    shell = [block for block in found if block.language == "bash"]
    outcomes = {str(block): _outcome(partial(_bash, block)) for block in shell}
    spark = _session_with("spark-warehouse")
    for name in ("mails", "reviews"):
        spark.read.option("header", True).csv(f"{name}.csv").createOrReplaceTempView(name)
    spark.table("mails").write.format("delta").saveAsTable("inbox")
    gb.create_views(spark)
    names: dict[str, dict[str, Any]] = {page: {"spark": spark, "gb": gb} for page in pages}
    level = logging.getLogger("gateway_batch").level
    for block in found:
        if block.language == "python":
            outcomes[str(block)] = _outcome(partial(_python, block, names[block.page]))
        if block.language == "sql":
            outcomes[str(block)] = _outcome(partial(_sql, block, spark))
    logging.getLogger("gateway_batch").setLevel(level)  # a page says how to set it
    return outcomes


def _session_with(warehouse: str) -> SparkSession:
    """A session with a warehouse: the active one, if that is its."""
    active, folder = SparkSession.getActiveSession(), Path(warehouse).absolute()
    if active and urlparse(active.conf.get("spark.sql.warehouse.dir")).path != str(folder):
        end_session()
    return session(folder)


def _outcome(run_block: Callable[[], None]) -> Outcome:
    fault = None
    with redirect_stdout(StringIO()) as printed:
        try:
            run_block()
        except Exception:
            fault = traceback.format_exc(limit=-4)[-2000:]
    return Outcome(fault, printed.getvalue())


def _python(block: Block, names: dict[str, Any]) -> None:
    text = _here(block.text)
    for statement in ast.parse(text, filename=str(block)).body:
        if OF_DATABRICKS.search(ast.get_source_segment(text, statement) or ""):
            _check_calls(statement)
        else:
            exec(compile(ast.Module([statement], []), str(block), "exec"), names)


def _check_calls(statement: ast.stmt) -> None:
    """Every call of ours has arguments that it takes."""
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    assert calls
    for call in calls:
        function = eval(ast.unparse(call.func), {"gb": gb})
        inspect.signature(function).bind(*call.args, **{word.arg: word.value for word in call.keywords if word.arg})


def _sql(block: Block, spark: SparkSession) -> None:
    without_comments = re.sub(r"--.*", "", block.text)
    with gb.register_ai_query(spark, _settings()):
        for statement in filter(str.strip, without_comments.split(";")):
            spark.sql(statement).collect()


def _settings() -> gb.GatewayConfig:
    """`m` is the model of pages that speak of any."""
    return gb.GatewayConfig.from_env(endpoints={"m": {"model": "databricks-gpt-5-4"}})


def _bash(block: Block) -> None:
    for line in commands(block):
        program, *words = shlex.split(line, comments=True)
        if program == "gateway-batch":
            _ours(words)
        else:
            assert program in CHECKED_APART, f"{line}: nothing checks this program"


def _ours(words: list[str]) -> None:
    if OF_DATABRICKS.search(" ".join(words)) or words[0] == SERVES_UNTIL_STOPPED:
        words = [*words, "--help"]  # reads the others first
    elif " ".join(words).startswith(TAKES_THE_ACTIVE_SESSION):
        _session_with(words[words.index("--warehouse") + 1] if "--warehouse" in words else "spark-warehouse")
    elif words[0] in STARTS_A_SESSION:
        end_session()
    done = command(*words)
    print(done.stdout)
    assert done.returncode == 0, done.stderr


def _here(text: str) -> str:
    """Providers' addresses and models as the development gateway has them."""
    for address, route in ROUTES.items():
        here = f"{os.environ['DATABRICKS_HOST']}/ai-gateway/{route}"
        text = text.replace(f'"base_url": "{address}"', f'"token": "env:DATABRICKS_TOKEN", "base_url": "{here}"')
    return re.sub(r'"model": "([^"]+)"', lambda found: f'"model": "{MODELS.get(found[1], found[1])}"', text)
