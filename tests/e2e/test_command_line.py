"""The commands end to end: what they print, what they leave, how they fail."""

from __future__ import annotations

import csv
import json
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import GATEWAY_BATCH, REVIEWS, Run, end_session
from tests.unit.command import command

pytestmark = pytest.mark.timeout(1800)


def test_demo_answers_real_text_and_it_reconciles(run: Run, place: Path) -> None:
    done = run("demo", "--rows", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,000 texts" in done.stdout
    assert "1,000 answered, 0 failed" in done.stdout
    assert "The usage table reconciles with the gateway's record." in done.stdout
    assert "Traceback" not in done.stderr
    assert (place / "demo" / "warehouse" / "summaries" / "_delta_log").is_dir()

    used = command("usage", "--by", "tag:step", "--warehouse", "demo/warehouse", "--json")
    assert used.returncode == 0, used.stderr
    rows = {row["tag:step"]: row for row in map(json.loads, used.stdout.splitlines())}
    assert rows["whole table"]["requests"] == 1000
    assert rows[None]["requests"] == 10
    assert all(row["failed_requests"] == row["unknown_requests"] == 0 for row in rows.values())
    assert all(row["input_tokens"] > 0 for row in rows.values())

    imported = command("usage", "import", "demo/devgateway.sqlite", "--warehouse", "demo/warehouse", "--json")
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout) == {"imported": 0, "table": "ai_gateway.usage"}, "all of them are ours"

    with closing(sqlite3.connect("demo/devgateway.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM usage WHERE rowid = 1")
    reconciled = command("reconcile", "demo/devgateway.sqlite", "--warehouse", "demo/warehouse", "--json")
    assert reconciled.returncode == 1
    found = json.loads(reconciled.stdout)
    assert (found["agree"], found["matched"], found["extra"]) == (False, 1009, 1)
    assert [example["class"] for example in found["examples"]] == ["extra"]
    assert "the usage table and the gateway's record differ" in reconciled.stderr
    assert "Traceback" not in reconciled.stderr


def test_sql_shows_the_answers_of_a_file(run: Run, tmp_path: Path) -> None:
    """Workers have this interpreter, whatever `python3` is on the path."""
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    query = "SELECT title, ai_query('databricks-gpt-5-4', 'Summarize: ' || review) AS answer FROM reviews"
    done = run("sql", query, "--input", "reviews=reviews.csv", PATH="/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert re.search(r"A\s+The lake was", done.stdout)
    assert re.search(r"B\s+We liked the", done.stdout)
    assert "3 requests recorded in ai_gateway.usage" in done.stderr
    assert "stand-ins" in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr


def test_sql_writes_one_file_and_replaces_only_what_it_made(place: Path) -> None:
    Path("in.csv").write_text('id,body\n1,"a, ""b"""\n2,\n', encoding="utf-8")
    query = "SELECT id, ai_query('databricks-gpt-5-4', 'one of ' || CAST(id AS INT) DIV 10) AS a, body FROM m"
    words = ("sql", query, "--input", "m=in.csv", "--gateway", "dev")
    for _ in range(2):
        done = command(*words, "--output", "out.csv")
        assert done.returncode == 0, done.stderr
        assert "1 request recorded" in done.stderr
    with open("out.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "a", "body"]
    assert [(row[0], row[2]) for row in rows] == [("1", 'a, "b"'), ("2", "")]

    sql, _, *settings = words
    counted = f"SELECT *, (SELECT count(*) FROM system.ai_gateway.usage) AS rows FROM ({query})"
    printed = command(sql, counted, *settings, "--json")
    written = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [(row["id"], row["body"], row["rows"]) for row in written] == [("1", 'a, "b"', 2), ("2", None, 2)]
    assert "1 request recorded" in printed.stderr

    end_session()
    before = {path: path.read_bytes() for path in (Path("in.csv"), Path("out.csv"))}
    read = "SELECT * FROM csv.`out.csv`"
    for arguments, says in (
        ((*words, "--output", "in.csv"), "is the same as the input in.csv"),
        (("sql", read, "--gateway", "dev", "--output", "out.csv"), "is the same as the input"),
    ):
        done = command(*arguments)
        assert done.returncode == 1
        assert says in " ".join(done.stderr.split())
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_an_analysis_error_is_said_in_one_line(run: Run) -> None:
    done = run("sql", "SELECT ai_query('m', 'x', failOnEror => true)", "--gateway", "dev")
    assert done.returncode == 1
    assert done.stderr.count("[UNRECOGNIZED_PARAMETER_NAME] ai_query has no parameter failOnEror") == 1
    assert "java" not in done.stderr


def test_help_of_a_process(run: Run) -> None:
    done = run("run", "--help")
    assert done.returncode == 0
    assert done.stdout.split()[:3] == ["Usage:", "gateway-batch", "run"]
    assert done.stderr == ""


def test_wrong_use_of_a_process(run: Run) -> None:
    done = run("usage", "flush", "--nonsense")
    assert done.returncode == 2
    assert done.stderr.split()[:4] == ["Usage:", "gateway-batch", "usage", "flush"]
    assert "No such option: --nonsense" in done.stderr
    assert done.stdout == ""


def test_serve_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    words = [GATEWAY_BATCH, "serve", "--port", "0", "--ledger", str(tmp_path / "l")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        assert "listening on http://127.0.0.1:" in served.stdout.readline()
        served.send_signal(signal.SIGTERM)
        assert served.wait(25) == 0, "less than requests under way are given"
