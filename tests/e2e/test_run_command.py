"""`gateway-batch run` and `estimate` as their users run them: files, conditions, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.e2e.conftest import GATEWAY_BATCH, REVIEWS, session, without_settings, working_in
from tests.unit.command import command

pytestmark = pytest.mark.timeout(1800)

RUN = (
    "run", "--source", "reviews", "--input", "reviews=reviews.csv", "--key", "title", "--endpoint",
    "databricks-gpt-5-4", "--prompt", "Summarize: {review}", "--output",
)  # fmt: skip
QUERY = "SELECT ai_query('databricks-gpt-5-4', review) AS a FROM reviews"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway, and a session and a folder for all tests that name it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "reviews.csv").write_text(REVIEWS)
    with (
        running(Settings(port=0, token="t0ken", ledger=folder / "ledger.sqlite")) as gateway,
        working_in(folder, DATABRICKS_HOST=gateway.host, DATABRICKS_TOKEN="t0ken"),
    ):
        session()
        yield gateway


def test_run_answers_a_file_and_has_nothing_to_do_then(server: RunningGateway) -> None:
    done = command(*RUN, "answers")
    assert done.returncode == 0, done.stderr
    assert "answers: 3 of 3 rows" in done.stdout
    assert "3 requests sent, 0 saved" in done.stdout
    again = command(*RUN, "answers", "--json")
    assert again.returncode == 0, again.stderr
    assert "answers: nothing to do, all rows have their answer" in again.stderr
    report = json.loads(again.stdout)
    assert (report["status"], report["planned"], report["requests"]) == ("completed", 0, 0)


def test_run_fails_where_the_condition_holds(server: RunningGateway) -> None:
    done = command(
        *RUN, "dates", "--response-format", '{"type": "json_object"}', "--return-type", "DATE", "--fail-if", "rows > 0"
    )
    assert done.returncode == 1
    assert "stopped rows > 0: 0 rows are left for the next run" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_condition_that_is_none_is_said_in_one_line(server: RunningGateway) -> None:
    server.reset()
    done = command(*RUN, "unread", "--fail-if", "errors > 1")
    assert done.returncode == 1
    assert "is not a condition such as" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.stats()["requests"] == 0


def test_estimate_of_a_query_sends_nothing(server: RunningGateway) -> None:
    server.reset()
    done = command("estimate", "--sql", QUERY, "--input", "reviews=reviews.csv")
    assert done.returncode == 0, done.stderr
    assert "ai_query('databricks-gpt-5-4'): 3 rows to answer, 3 different requests" in done.stdout
    assert "Prices are list prices" in done.stdout
    words = ("--input", "reviews=reviews.csv", "--json", "--output-tokens", "10", "--gateway", "dev")
    as_json = command("estimate", "--sql", QUERY, *words)
    assert "stand-ins" in as_json.stderr
    (call,) = json.loads(as_json.stdout)
    assert (call["function"], call["endpoint"], call["estimate"]["requests"]) == ("ai_query", "databricks-gpt-5-4", 3)
    assert call["estimate"]["output_tokens"]["middle"] == 30

    Path("ragged.csv").write_text("title,review\nA,good\nB\nC,bad\n", encoding="utf-8")
    refused = command("estimate", "--sql", QUERY, "--input", "reviews=ragged.csv")
    assert refused.returncode == 1
    assert "ragged.csv: row 3, the header counted, has 1 fields, not 2: mend it, or leave" in " ".join(
        refused.stderr.split()
    )
    left_out = command("estimate", "--sql", QUERY, "--input", "reviews=ragged.csv", "--bad-input", "skip")
    assert "2 rows to answer" in left_out.stdout
    assert "1 row that can't be read was left out, the first: ragged.csv: row 3" in " ".join(left_out.stderr.split())
    assert server.stats()["requests"] == 0


def test_ctrl_c_ends_a_run_with_its_summary(tmp_path: Path) -> None:
    rows = "".join(f"{id_},Lake {id_} is deep.\n" for id_ in range(900))
    (tmp_path / "reviews.csv").write_text(f"title,review\n{rows}")
    words = [*RUN, "answers", "--chunk-rows", "300"]
    with running(Settings(port=0, token="t0ken", latency_ms=500, ledger=tmp_path / "ledger.sqlite")) as server:
        settings = {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": "t0ken"}
        with subprocess.Popen(
            [GATEWAY_BATCH, *words], cwd=tmp_path, env=without_settings() | settings, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            until = time.monotonic() + 300
            while server.stats()["requests"] < 350 and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            said, complained = process.communicate(timeout=200)
            sent = server.stats()["requests"]
        assert process.returncode == 130, complained
        assert re.search(r"answers: \d+ of 900 rows in .* left", said), said + complained
        assert "Traceback" not in complained
        assert 350 <= sent < 900
        server.configure(latency_ms=None)
        with working_in(tmp_path, **settings):
            done = command(*words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["left"] == 0
        assert 900 <= server.stats()["requests"] <= 900 + 2 * 64, "as many as two tasks had under way"
