"""The commands end to end: what they print, what they leave, how they fail."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway_batch.cli.main import app
from tests.e2e.conftest import Run

RUN = ("run", "--source", "x", "--key", "id", "--output", "y", "--endpoint", "e", "--prompt", "{id}")
REVIEWS = 'title,review\nA,"The lake was cold, and deep."\nB,"We liked the ""old"" boat."\nC,It rained all day.\n'


@pytest.mark.timeout(600)
def test_demo_answers_real_text_and_its_books_agree(run: Run, tmp_path: Path) -> None:
    done = run("demo", "--rows", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,000 texts" in done.stdout
    assert "1,000 answered, 0 failed" in done.stdout
    assert "The books agree." in done.stdout
    assert "Traceback" not in done.stderr
    assert (tmp_path / "demo" / "warehouse" / "summaries" / "_delta_log").is_dir()

    used = run("usage", "--by", "tag:step", "--warehouse", "demo/warehouse", "--json")
    assert used.returncode == 0, used.stderr
    rows = {row["tag:step"]: row for row in map(json.loads, used.stdout.splitlines())}
    assert rows["whole table"]["requests"] == 1000
    assert rows[None]["requests"] == 10
    assert all(row["failed_requests"] == row["unknown_requests"] == 0 for row in rows.values())
    assert all(row["input_tokens"] > 0 for row in rows.values())

    flushed = run("usage", "flush", "--warehouse", "demo/warehouse")
    assert (flushed.returncode, flushed.stdout) == (0, "0 records committed to ai_gateway.usage\n"), flushed.stderr
    imported = run("usage", "import", "demo/devgateway.sqlite", "--warehouse", "demo/warehouse", "--json")
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout) == {"imported": 0, "table": "ai_gateway.usage"}, "all of them are ours"
    kept = run("usage", "maintain", "--keep-days", "30", "--warehouse", "demo/warehouse")
    assert kept.returncode == 0, kept.stderr
    assert "joined to 1, 0 records deleted" in " ".join(kept.stdout.split())

    with closing(sqlite3.connect(tmp_path / "demo" / "devgateway.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM usage WHERE rowid = 1")
    reconciled = run("reconcile", "demo/devgateway.sqlite", "--warehouse", "demo/warehouse", "--json")
    assert reconciled.returncode == 1
    books = json.loads(reconciled.stdout)
    assert (books["agree"], books["matched"], books["extra"]) == (False, 1009, 1)
    assert [example["class"] for example in books["examples"]] == ["extra"]
    assert "the books don't agree" in reconciled.stderr
    assert "Traceback" not in reconciled.stderr


def test_demo_takes_a_file_of_ones_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    done = run("demo", "--input", "reviews.csv", "--text-column", "review")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 answered, 0 failed" in done.stdout


def test_sql_shows_the_answers_of_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    query = "SELECT title, ai_query('databricks-gpt-5-4', 'Summarize: ' || review) AS answer FROM reviews"
    done = run("sql", query, "--input", "reviews=reviews.csv")
    assert done.returncode == 0, done.stderr
    assert re.search(r"A\s+The lake was", done.stdout)
    assert re.search(r"B\s+We liked the", done.stdout)
    assert "3 requests recorded in ai_gateway.usage" in done.stderr
    assert "stand-ins" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("sql", "SELECT 1", "--input", "x"), 2, "is not NAME=PATH"),
        (("sql", "SELECT 1", "--gateway", "moon"), 2, "one of auto, env, dev"),
        (("demo", "--rows", "0"), 2, "--rows"),
        (("demo", "--input", "nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("usage", "--warehouse", "nowhere"), 1, "no such folder: nowhere"),
        (("run", "--source", "x", "--key", "id", "--output", "y"), 2, "--endpoint"),
        ((*RUN, "--model-parameters", "[1]"), 2, "is no JSON object"),
        ((*RUN, "--gateway", "moon"), 2, "one of auto, env, dev"),
        ((*RUN, "--fail-if", "errors > 1"), 1, "is not a condition such as"),
        ((*RUN, "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("nonsense",), 2, "No such command"),
        (("serve", "--port", "99999"), 2, "--port"),
        (("serve", "--host", "0.0.0.0"), 1, "without a token"),
        (("serve", "--services", "nowhere.json"), 1, "cannot read services"),
        (("serve", "--ledger", "file.csv/ledger.sqlite"), 1, "cannot keep the usage ledger in file.csv/ledger.sqlite"),
        (("demo", "--dir", "file.csv/demo"), 1, "file.csv/demo: Not a directory"),
        (("views", "render", "--output", "file.csv/views"), 1, "file.csv/views: Not a directory"),
        ((*RUN, "--warehouse", "file.csv/warehouse"), 1, "file.csv/warehouse"),
        (("sql", "SELECT 1", "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        (("estimate", "--sql", "SELECT 1", "--input", "x=nowhere.csv"), 1, "no such file or folder: nowhere.csv"),
        *(
            ((*command.split(), "--warehouse", "nowhere"), 1, "no such folder: nowhere")
            for command in (
                "reconcile x.sqlite",
                "dashboard --output x.html",
                "usage flush",
                "usage maintain",
                "usage refresh",
                "usage import x.sqlite",
                "views deploy",
            )
        ),
    ],
)
def test_wrong_use_is_said_in_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "file.csv").touch()
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_analysis_error_is_said_in_one_line(run: Run) -> None:
    done = run("sql", "SELECT ai_query('m', 'x', failOnEror => true)", "--gateway", "dev")
    assert done.returncode == 1
    assert done.stderr.count("[UNRECOGNIZED_PARAMETER_NAME] ai_query has no parameter failOnEror") == 1
    assert "java" not in done.stderr


def every_command() -> Iterator[str]:
    """Each command's words; those of a group, and the group by itself, where it is a command too."""

    def walk(command: Any, words: list[str]) -> Iterator[str]:
        if words and (not hasattr(command, "commands") or command.invoke_without_command):
            yield " ".join(words)
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, [*words, name])

    return walk(typer.main.get_command(app), [])


@pytest.mark.parametrize("command", list(every_command()))
def test_help_has_an_example(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: gateway-batch {command}" in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", list(every_command()))
def test_an_unknown_option_is_wrong_use(run: Run, command: str) -> None:
    done = run(*command.split(), "--nonsense")
    assert done.returncode == 2
    assert "No such option: --nonsense" in done.stderr
    assert done.stdout == ""


def test_a_port_in_use_is_said(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("gateway-batch")),
        "serve",
        "--port",
        "0",
        "--ledger",
        str(tmp_path / "l"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        assert "listening on http://127.0.0.1:" in served.stdout.readline()
        served.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert served.wait(30) == 0
        assert time.monotonic() - started < 10
