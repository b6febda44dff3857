"""`gateway-batch config`: what it shows, what it hides, and what it finds wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway_batch.cli.endpoint_check import ask
from gateway_batch.cli.main import app
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.devgateway import RunningGateway, Settings, running

from .samples import sealed_rows

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
    assert "not recorded" in says["endpoint databricks-gte-large-en"]
    assert "THEIR_KEY is not set" in says["endpoint theirs"]
    assert "127.0.0.1" in says["endpoint mine"]
    assert "can't be written" in says["spool"]
    assert "Redis" in says["coordination"]
    assert "'no such name' is not the name of an endpoint" in says["endpoint no such name"]


def test_no_gateway_is_a_failure(environment: pytest.MonkeyPatch) -> None:
    assert lines("--check", code=1)["gateway"]["ok"] is False


ANSWER = {
    "model": "m-1",
    "choices": [{"message": {"content": "OK"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}
MESSAGE = {"content": [{"type": "text", "text": "OK"}], "usage": {"input_tokens": 9, "output_tokens": 1}}

Answers = Callable[[dict[str, Any]], tuple[int, Any]]


@contextmanager
def vendor(
    listing: Any, answer: Answers = lambda _: (200, ANSWER), **headers: str
) -> Iterator[tuple[str, list[dict[str, str]], list[dict[str, Any]]]]:
    """A server of chats that lists models: its base URL, the headers of the requests for the list, all bodies."""
    asked: list[dict[str, str]] = []
    bodies: list[dict[str, Any]] = []

    class Vendor(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self._answer(*answer(bodies[-1]))

        def do_GET(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            found = self.path.partition("?")[0] == "/v1/models" and listing is not None
            self._answer(200 if found else 404, listing if found else {})

        def _answer(self, status: int, answer: Any) -> None:
            body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", asked, bodies
        finally:
            server.shutdown()
            thread.join()


OPENAI_LIST = {"object": "list", "data": [{"id": f"gpt-{number}", "object": "model"} for number in range(7)]}
GEMINI_LIST = {"models": [{"name": "models/gemini-2.5-flash"}]}
NO_SUCH = {"error": {"message": "no such model"}}


@pytest.mark.parametrize(
    ("model", "listing", "status", "ends"),
    [
        ("gpt-3", OPENAI_LIST, 200, "; lists the model"),
        ("gpt-9", OPENAI_LIST, 200, "; does not list gpt-9, but gpt-0, gpt-1, gpt-2, gpt-3, gpt-4, ..."),
        ("gpt-9", OPENAI_LIST, 404, "; does not list gpt-9, but gpt-0, gpt-1, gpt-2, gpt-3, gpt-4, ..."),
        ("gpt-9", {**OPENAI_LIST, "has_more": True}, 200, "got an answer: 9 tokens in, 1 out"),
        ("gemini-2.5-flash", GEMINI_LIST, 200, "lists the model"),
        ("gpt-9", None, 200, "got an answer: 9 tokens in, 1 out"),
        ("gpt-9", "a page", 200, "got an answer: 9 tokens in, 1 out"),
    ],
    ids=["listed", "not listed", "not found", "one page of several", "gemini", "no list", "no list in its JSON"],
)
def test_a_server_says_which_models_it_lists(
    environment: pytest.MonkeyPatch, model: str, listing: Any, status: int, ends: str
) -> None:
    with vendor(listing, lambda _: (status, ANSWER if status == 200 else NO_SUCH)) as (base_url, asked, _):
        endpoints = {"theirs": {"base_url": base_url, "model": model, "token": SECRET}}
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(endpoints))
        check = lines("--check", code=0 if status == 200 else 1)["endpoint theirs"]
    assert check["ok"] is (status == 200)
    assert str(check["says"]).endswith(ends)
    assert ("answers, and takes the token" in str(check["says"])) is (status == 200)
    (headers,) = asked
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["user-agent"].startswith("gateway_batch/")
    assert "anthropic-version" not in headers


def test_anthropics_list_is_asked_for_as_anthropic_wants_it(environment: pytest.MonkeyPatch) -> None:
    listing = {"data": [{"id": "claude-opus-4-8", "type": "model"}], "has_more": False}
    environment.setenv("GATEWAY_BATCH_TRANSPORT", "httpx")
    environment.setenv("KEY", SECRET)
    with vendor(listing, lambda _: (200, MESSAGE)) as (base_url, asked, _):
        endpoint = {"base_url": base_url, "api": "anthropic/v1/messages", "model": "claude-opus-4-8"}
        endpoint |= {"headers": {"x-api-key": "env:KEY"}, "query": {"v": "1"}}  # type: ignore[dict-item]
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps({"claude": endpoint}))
        check = lines("--check")["endpoint claude"]
    assert str(check["says"]).endswith("lists the model")
    assert asked[0]["anthropic-version"] == "2023-06-01"
    assert asked[0]["x-api-key"] == SECRET


def test_a_server_that_refuses_the_token_is_not_asked_for_its_models(environment: pytest.MonkeyPatch) -> None:
    with vendor(OPENAI_LIST, lambda _: (401, {"error": "no"})) as (base_url, asked, _):
        endpoints = {"theirs": {"base_url": base_url, "token": SECRET}}
        environment.setenv("GATEWAY_BATCH_ENDPOINTS", json.dumps(endpoints))
        assert lines("--check", code=1)["endpoint theirs"]["ok"] is False
    assert asked == []


def llama_server(body: dict[str, Any]) -> tuple[int, Any]:
    """As llama.cpp's: a body without messages is its own error."""
    return (200, MESSAGE) if body.get("messages") else (500, {"error": {"message": "'messages' is required"}})


def newer_model(body: dict[str, Any]) -> tuple[int, Any]:
    """Has another name for the limit."""
    if "max_tokens" in body:
        said = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return 400, {"error": {"message": said, "type": "invalid_request_error", "code": "unsupported_parameter"}}
    return 200, ANSWER


WRONG_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
}
CUT = {
    "choices": [{"message": {"content": "", "reasoning": "Well"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 16},
}
CHAT, MESSAGES, GEMINI = "openai/v1/chat/completions", "anthropic/v1/messages", "gemini/v1/generateContent"
VECTORS, SCORES = "openai/v1/embeddings", "mlflow/v1/invocations"


@pytest.mark.parametrize(
    ("api", "answer", "headers", "ok", "parts"),
    [
        (CHAT, lambda _: (200, ANSWER), {}, True, ["'Reply with OK.' with max_tokens 16"]),
        (CHAT, newer_model, {}, True, ["max_tokens 16, which was refused, then asked", "max_completion_tokens 16"]),
        (CHAT, lambda _: (200, CUT), {}, True, ["answers, and takes the token", "max_tokens"]),
        (CHAT, lambda _: (200, "<html>Welcome</html>"), {}, False, ["does not answer the question", "not JSON"]),
        (CHAT, lambda _: (200, {"status": "up"}), {}, False, ["does not answer the question"]),
        (CHAT, lambda _: (400, {"error": {"message": "no such field"}}), {}, False, ["400: no such field"]),
        (CHAT, lambda _: (503, {"message": "down"}), {}, False, ["503: down"]),
        (CHAT, lambda _: (429, {"message": "slow"}), {"retry_after": "3600"}, True, ["rate limit", "in 3600 s"]),
        (CHAT, lambda _: (402, {"message": "pay"}), {}, False, ["402: pay"]),
        (CHAT, lambda _: (400, {"error": "Incorrect API key provided"}), {}, False, ["refuses the token"]),
        (MESSAGES, llama_server, {}, True, ["answers, and takes the token", "9 tokens in, 1 out"]),
        (GEMINI, lambda _: (400, WRONG_KEY), {}, False, ["refuses the token (env:KEY)", "API key not valid"]),
        (VECTORS, lambda _: (200, {"data": [{"index": 0, "embedding": [1]}]}), {}, True, ["asked for the vector of"]),
        (SCORES, lambda _: (400, {"message": "age is missing"}), {}, True, ["asked with an empty record", "400: age"]),
        (SCORES, lambda _: (401, {"message": "who?"}), {}, False, ["refuses the token (env:KEY)"]),
    ],
)
def test_a_check_says_what_was_asked_and_what_came_back(
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    api: str,
    answer: Answers,
    headers: dict[str, str],
    ok: bool,
    parts: list[str],
) -> None:
    environment.setenv("KEY", SECRET)
    with vendor(None, answer, **headers) as (base_url, _, bodies):
        endpoint = {"base_url": base_url, "api": api, "model": "m", "token": "env:KEY"}
        config = GatewayConfig.from_env(endpoints={"theirs": endpoint})
        outcome = ask(config, resolve_service(config, "theirs"), tmp_path / "spool")
    assert outcome.ok is ok, outcome.says
    assert [part for part in parts if part not in outcome.says] == [], outcome.says
    assert len(bodies) == (2 if answer is newer_model else 1)
    rows = sealed_rows(tmp_path / "spool")
    assert [row["endpoint_name"] for row in rows] == ["theirs"] * len(bodies)
    assert SECRET not in f"{rows} {outcome}"
