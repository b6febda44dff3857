"""`gateway-batch config`: what it shows, what it hides, and what it finds wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway_batch.cli.main import app
from gateway_batch.devgateway import RunningGateway, Settings, running

SECRET = "sk-very-secret"
ENDPOINTS = {
    "mine": {"base_url": "http://127.0.0.1:9/v1", "token": SECRET},
    "theirs": {"base_url": "http://127.0.0.1:9/v1", "token": "env:THEIR_KEY"},
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    ledger = tmp_path_factory.mktemp("gateway") / "ledger.sqlite"
    with running(Settings(port=0, token="t0ken", ledger=ledger)) as gateway:
        yield gateway


def lines(*arguments: str, code: int = 0) -> dict[str, dict[str, object]]:
    ran = CliRunner().invoke(app, ["config", *arguments, "--json"])
    assert ran.exit_code == code, ran.output
    assert SECRET not in ran.output
    return {line["name"]: line for line in map(json.loads, ran.stdout.splitlines())}


def test_each_setting_has_its_source(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABRICKS_HOST", "https://example.com/")
    environment.setenv("DATABRICKS_TOKEN", SECRET)
    environment.setenv("GATEWAY_BATCH_MAX_CONCURRENCY", "8")
    environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(ENDPOINTS))
    environment.setenv("GATEWAY_BATCH_COORDINATION", f"redis://:{SECRET}@h:6379/0")
    found = lines()
    assert found["host"] == {"name": "host", "value": "https://example.com", "source": "DATABRICKS_HOST"}
    assert found["token"]["value"] == "env:DATABRICKS_TOKEN"
    assert found["max_concurrency"] == {
        "name": "max_concurrency", "value": 8, "source": "GATEWAY_BATCH_MAX_CONCURRENCY",
    }  # fmt: skip
    assert found["row_deadline"] == {"name": "row_deadline", "value": 900.0, "source": "default"}
    tokens = {name: endpoint["token"] for name, endpoint in dict(found["endpoints"]["value"]).items()}  # type: ignore[call-overload]
    assert tokens == {"mine": "***", "theirs": "env:THEIR_KEY"}
    shown = CliRunner().invoke(app, ["config"])
    assert shown.exit_code == 0
    assert SECRET not in shown.output
    assert "GATEWAY_BATCH_MAX_CONCURRENCY" in "".join(shown.output.split())


def test_a_gateway_that_works_is_said_to(environment: pytest.MonkeyPatch, server: RunningGateway) -> None:
    environment.setenv("DATABRICKS_HOST", server.host)
    environment.setenv("DATABRICKS_TOKEN", "t0ken")
    found = lines("--check")
    assert {name: line["ok"] for name, line in found.items()} == {
        "endpoint databricks-gpt-5-4": True,
        "endpoint databricks-gte-large-en": True,
        "spool": True,
        "usage table": True,
        "coordination": True,
    }
    assert "takes the token" in str(found["endpoint databricks-gpt-5-4"]["says"])


def test_what_does_not_work_is_said_in_a_line_each(environment: pytest.MonkeyPatch, server: RunningGateway) -> None:
    environment.setenv("DATABRICKS_HOST", server.host)
    environment.setenv("DATABRICKS_TOKEN", SECRET)
    environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(ENDPOINTS))
    environment.setenv("GATEWAY_BATCH_SPOOL_DIR", "/proc/nowhere/spool")
    environment.setenv("GATEWAY_BATCH_COORDINATION", "redis://127.0.0.1:9/0")
    environment.setenv("GATEWAY_BATCH_TASK_ENDPOINT", "no such name")
    found = lines("--check", code=1)
    says = {name: str(line["says"]) for name, line in found.items() if not line["ok"]}
    assert "refuses the token (env:DATABRICKS_TOKEN): HTTP 401" in says["endpoint databricks-gte-large-en"]
    assert "THEIR_KEY is not set" in says["endpoint theirs"]
    assert "127.0.0.1" in says["endpoint mine"]
    assert "can't be written" in says["spool"]
    assert "Redis" in says["coordination"]
    assert "'no such name' is not the name of an endpoint" in says["endpoint no such name"]


def test_no_gateway_is_a_failure(environment: pytest.MonkeyPatch) -> None:
    assert lines("--check", code=1)["gateway"]["ok"] is False


@contextmanager
def vendor(listing: Any, *, status: int = 400) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server of chats that lists models: its base URL, and the headers of the requests for the list."""
    asked: list[dict[str, str]] = []

    class Vendor(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(status, {"error": "no messages"})

        def do_GET(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            found = self.path == "/v1/models" and listing is not None
            self._answer(200 if found else 404, listing if found else {})

        def _answer(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked
        finally:
            server.shutdown()
            thread.join()


OPENAI_LIST = {"object": "list", "data": [{"id": f"gpt-{number}", "object": "model"} for number in range(7)]}
GEMINI_LIST = {"models": [{"name": "models/gemini-2.5-flash"}]}


@pytest.mark.parametrize(
    ("model", "listing", "status", "ends"),
    [
        ("gpt-3", OPENAI_LIST, 400, "answers, and takes the token; lists the model"),
        ("gpt-9", OPENAI_LIST, 400, "token; does not list gpt-9, but gpt-0, gpt-1, gpt-2, gpt-3, gpt-4, ..."),
        ("gpt-9", OPENAI_LIST, 404, "; does not list gpt-9, but gpt-0, gpt-1, gpt-2, gpt-3, gpt-4, ..."),
        ("gpt-9", {**OPENAI_LIST, "has_more": True}, 400, "answers, and takes the token"),
        ("gemini-2.5-flash", GEMINI_LIST, 400, "lists the model"),
        ("gpt-9", None, 400, "answers, and takes the token"),
        ("gpt-9", "a page", 400, "answers, and takes the token"),
    ],
    ids=["listed", "not listed", "not found", "one page of several", "gemini", "no list", "no list in its JSON"],
)
def test_a_server_says_which_models_it_lists(
    environment: pytest.MonkeyPatch, model: str, listing: Any, status: int, ends: str
) -> None:
    with vendor(listing, status=status) as (base_url, asked):
        endpoints = {"theirs": {"base_url": base_url, "model": model, "token": SECRET}}
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(endpoints))
        check = lines("--check", code=0 if status == 400 else 1)["endpoint theirs"]
    assert check["ok"] is (status == 400)
    assert str(check["says"]).endswith(ends)
    (headers,) = asked
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["user-agent"].startswith("gateway_batch/")
    assert "anthropic-version" not in headers


def test_anthropics_list_is_asked_for_as_anthropic_wants_it(environment: pytest.MonkeyPatch) -> None:
    listing = {"data": [{"id": "claude-opus-4-8", "type": "model"}], "has_more": False}
    environment.setenv("GATEWAY_BATCH_TRANSPORT", "httpx")
    with vendor(listing) as (base_url, asked):
        endpoint = {"base_url": base_url, "api": "anthropic/v1/messages", "model": "claude-opus-4-8"}
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps({"claude": endpoint}))
        check = lines("--check")["endpoint claude"]
    assert str(check["says"]).endswith("answers; lists the model")
    assert asked[0]["anthropic-version"] == "2023-06-01"


def test_a_server_that_refuses_the_token_is_not_asked_for_its_models(environment: pytest.MonkeyPatch) -> None:
    with vendor(OPENAI_LIST, status=401) as (base_url, asked):
        endpoints = {"theirs": {"base_url": base_url, "token": SECRET}}
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(endpoints))
        assert lines("--check", code=1)["endpoint theirs"]["ok"] is False
    assert asked == []
