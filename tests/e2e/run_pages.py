"""Runs the code blocks of pages, one after the other: `python -m tests.e2e.run_pages RESULTS PAGE...`.

First those of a shell, then those of Python and SQL, which share a session.

A reader's machine has the views `mails` and `reviews`, the files they are of, a table `inbox`, and a gateway.
Providers' addresses and models are those of the development gateway. What names a `system.` table is for Databricks: it
is checked, not run.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.cli.main import app
from tests.pages import ROOT, Block, blocks, commands

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


def main(results: str, *pages: str) -> None:
    found = [block for page in pages for block in blocks(page)]
    shell = [block for block in found if block.language == "bash"]
    faults = {str(block): _fault(block, partial(_bash, block)) for block in shell}
    spark = gb.local_session(settings={"spark.log.level": "ERROR", "spark.sql.shuffle.partitions": "2"})
    for name in ("mails", "reviews"):
        spark.read.option("header", True).csv(f"{name}.csv").createOrReplaceTempView(name)
    spark.table("mails").write.format("delta").saveAsTable("inbox")
    gb.create_views(spark)
    names: dict[str, dict[str, Any]] = {page: {"spark": spark, "gb": gb} for page in pages}
    for block in found:
        if block.language == "python":
            faults[str(block)] = _fault(block, partial(_python, block, names[block.page]))
        if block.language == "sql":
            faults[str(block)] = _fault(block, partial(_sql, block, spark))
    Path(results).write_text(json.dumps(faults))


def _fault(block: Block, run: Callable[[], None]) -> str | None:
    print(f"--- {block}", flush=True)
    try:
        run()
    except BaseException:
        return traceback.format_exc(limit=-4)[-2000:]
    return None


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
    for command in commands(block):
        program, *words = shlex.split(command, comments=True)
        if program == "gateway-batch":
            _ours(words)
        else:
            assert program in CHECKED_APART, f"{command}: nothing checks this program"


def _ours(words: list[str]) -> None:
    """Runs a command in a session of its own, but not in a process of its own: that takes a fifth of the time."""
    if OF_DATABRICKS.search(" ".join(words)) or words[0] == SERVES_UNTIL_STOPPED:
        words = [*words, "--help"]  # reads the others first
    code = app(words, standalone_mode=False) or 0
    assert code == 0, f"exit code {code}"


def _here(text: str) -> str:
    """Providers' addresses and models as the development gateway has them."""
    for address, route in ROUTES.items():
        here = f"{os.environ['DATABRICKS_HOST']}/ai-gateway/{route}"
        text = text.replace(f'"base_url": "{address}"', f'"token": "env:DATABRICKS_TOKEN", "base_url": "{here}"')
    return re.sub(r'"model": "([^"]+)"', lambda found: f'"model": "{MODELS.get(found[1], found[1])}"', text)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(*sys.argv[1:])
