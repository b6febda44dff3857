"""`gateway-batch run` as its users run it: files, conditions, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway_batch.devgateway import Settings, running
from tests.e2e.conftest import Run
from tests.e2e.test_command_line import REVIEWS

RUN = (
    "run", "--source", "reviews", "--input", "reviews=reviews.csv", "--key", "title", "--endpoint",
    "databricks-gpt-5-4", "--prompt", "Summarize: {review}", "--output", "answers",
)  # fmt: skip


def test_run_answers_a_file_and_has_nothing_to_do_then(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    done = run(*RUN)
    assert done.returncode == 0, done.stderr
    assert "answers: 3 of 3 rows" in done.stdout
    assert "3 requests sent, 0 saved" in done.stdout
    again = run(*RUN, "--json")
    assert again.returncode == 0, again.stderr
    assert "answers: nothing to do, all rows have their answer" in again.stderr
    report = json.loads(again.stdout)
    assert (report["status"], report["planned"], report["requests"]) == ("completed", 0, 0)


def test_run_fails_where_the_condition_holds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    done = run(*RUN, "--response-format", '{"type": "json_object"}', "--return-type", "DATE", "--fail-if", "rows > 0")
    assert done.returncode == 1
    assert "stopped rows > 0: 0 rows are left for the next run" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_run_with_its_summary(tmp_path: Path) -> None:
    rows = "".join(f"{id_},Lake {id_} is deep.\n" for id_ in range(3_000))
    (tmp_path / "reviews.csv").write_text(f"title,review\n{rows}")
    command = [str(Path(sys.executable).with_name("gateway-batch")), *RUN, "--chunk-rows", "500"]
    with running(Settings(port=0, token="t0ken", latency_ms=100, ledger=tmp_path / "ledger.sqlite")) as server:
        settings = {**os.environ, "DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}
        with subprocess.Popen(
            command, cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as process:  # fmt: skip
            until = time.monotonic() + 120
            while server.stats()["requests"] < 700 and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=60)
            sent = server.stats()["requests"]
        assert process.returncode == 130, complained
        assert re.search(r"answers: \d[\d,]* of 3,000 rows in .* left", said), said + complained
        assert "Traceback" not in complained
        done = subprocess.run(
            [*command, "--json"], cwd=tmp_path, env=settings, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["left"] == 0
        assert 3_000 <= server.stats()["requests"] <= 3_000 + 64
        assert 700 <= sent < 3_000


def test_estimate_of_a_query_sends_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    query = "SELECT ai_query('databricks-gpt-5-4', review) AS a FROM reviews"
    done = run("estimate", "--sql", query, "--input", "reviews=reviews.csv")
    assert done.returncode == 0, done.stderr
    assert "ai_query('databricks-gpt-5-4'): 3 rows to answer, 3 different requests" in done.stdout
    assert "Prices are list prices" in done.stdout
    as_json = run("estimate", "--sql", query, "--input", "reviews=reviews.csv", "--json", "--output-tokens", "10")
    (call,) = json.loads(as_json.stdout)
    assert (call["function"], call["endpoint"], call["estimate"]["requests"]) == ("ai_query", "databricks-gpt-5-4", 3)
    assert call["estimate"]["output_tokens"]["middle"] == 30
    assert run("usage", "--json").stdout == ""
    both = run("estimate", "--sql", query, "--key", "title")
    assert both.returncode == 2
    assert "a query says by itself" in " ".join(both.stderr.split())
    neither = run("estimate", "--key", "title")
    assert neither.returncode == 2
    assert "--source, --key, --output and --endpoint" in " ".join(neither.stderr.split())
