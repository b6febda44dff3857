"""`gb.Client` through an `httpx.AsyncClient` that its user made and closes."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.types import HttpReply
from tests.unit.samples import sealed_rows

from .conftest import TOKEN, GatewayRecord, ours
from .transports import OPENERS

MODEL = "databricks-gpt-5-4"
PROMPTS = [f"Lake {number} is a deep and quiet lake." for number in range(30)]

Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


@pytest.fixture
def client_through(tmp_path: Path) -> Iterator[Callable[..., gb.Client]]:
    """Opens a client whose requests a function answers."""
    opened: list[gb.Client] = []

    def open_one(answer: Handler, **settings: Any) -> gb.Client:
        config = gb.GatewayConfig.from_env(
            **{"host": "https://gateway.example", "token": TOKEN, "spool_dir": str(tmp_path / "spool"), **settings}
        )
        http = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
        opened.append(gb.Client(config, http_client=http))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


def says(text: str) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"message": {"role": "assistant", "content": text}}]})


def test_a_row_whose_budget_ended_between_two_attempts_was_sent(
    client_through: Callable[..., gb.Client], tmp_path: Path
) -> None:
    with client_through(lambda _: httpx.Response(503), budget={"max_requests": 1}) as client:
        (error,) = client.query_many(MODEL, PROMPTS[:1], fail_on_error=False)
    (row,) = sealed_rows(tmp_path / "spool")
    assert isinstance(error, gb.CallError)
    assert (error.kind, error.was_sent, error.event_id) == ("budget", True, row["client_metadata"]["event_id"])


def test_a_failed_row_keeps_nothing_of_its_answer(client_through: Callable[..., gb.Client]) -> None:
    """Errors are kept for as long as a partition has rows: 16,384 of them."""
    with client_through(lambda _: httpx.Response(400, text="x" * 100_000)) as client:
        (error,) = client.query_many(MODEL, PROMPTS[:1], fail_on_error=False)
    assert isinstance(error, gb.CallError)
    assert (error.__cause__, error.__context__) == (None, None)
    kept = [value for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]
    assert kept
    assert not any(isinstance(value, HttpReply) for value in kept)


def test_a_mock_answers_in_the_clients_thread_and_is_recorded(
    client_through: Callable[..., gb.Client], tmp_path: Path
) -> None:
    asked: list[tuple[httpx.Request, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request, threading.get_ident()))
        return httpx.Response(503) if len(asked) == 1 else says("Deep.")

    with client_through(answer) as client:
        assert client.query(MODEL, PROMPTS[0]) == "Deep."
    rows = sealed_rows(tmp_path / "spool")
    assert [row["status_code"] for row in rows] == [503, 200]
    assert [row["invocation_id"] for row in rows] == [request.headers["x-client-request-id"] for request, _ in asked]
    request, thread = asked[-1]
    assert thread != threading.get_ident()
    assert (request.method, request.url.host) == ("POST", "gateway.example")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["user-agent"].startswith("gateway_batch/")
    assert json.loads(request.content)["messages"][-1]["content"] == PROMPTS[0]


def test_a_redirect_is_not_followed_by_a_client_that_follows_them(client_through: Callable[..., gb.Client]) -> None:
    hosts = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://elsewhere.example/"})

    client = client_through(answer)
    with pytest.raises(gb.CallError) as caught:
        client.query(MODEL, "hi")
    assert (caught.value.status, hosts) == (307, ["gateway.example"])


def test_what_a_mock_raises_of_its_own_reaches_the_caller_and_is_recorded(
    client_through: Callable[..., gb.Client], tmp_path: Path
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise AssertionError("not this prompt")

    with client_through(answer) as client, pytest.raises(AssertionError, match="not this prompt"):
        client.query(MODEL, "hi")
    assert [row["client_metadata"]["outcome"] for row in sealed_rows(tmp_path / "spool")] == ["no_answer"]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("no"), "connect"),
        (httpx.ReadTimeout("no"), "timeout"),
        (httpx.ReadError("no"), "disconnect"),
    ],
    ids=["connect", "timeout", "disconnect"],
)
def test_a_mocks_error_of_the_network_is_one_and_is_retried(
    client_through: Callable[..., gb.Client], tmp_path: Path, raised: Exception, kind: str
) -> None:
    left = [raised]

    async def answer(_: httpx.Request) -> httpx.Response:
        if left:
            raise left.pop()
        return says("ok")

    with client_through(answer) as client:
        assert client.query(MODEL, "hi") == "ok"
    rows = sealed_rows(tmp_path / "spool")
    assert [row["client_metadata"].get("error_kind") for row in rows] == [kind, None]


@pytest.mark.parametrize("wrong", [httpx.Client, object])
def test_only_an_asynchronous_client_is_one(wrong: Callable[[], Any], tmp_path: Path) -> None:
    config = gb.GatewayConfig.from_env(host="https://h", token=TOKEN, spool_dir=str(tmp_path))
    with pytest.raises(gb.ConfigError, match=r"http_client: must be an httpx\.AsyncClient"):
        gb.Client(config, http_client=wrong())
    with pytest.raises(gb.ConfigError, match="together with open_transport"):
        gb.Client(config, http_client=httpx.AsyncClient(), open_transport=OPENERS["httpx"])


def test_a_client_that_was_closed_before_is_misuse(client_through: Callable[..., gb.Client], tmp_path: Path) -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: says("ok")))
    asyncio.run(http.aclose())
    config = gb.GatewayConfig.from_env(host="https://h", token=TOKEN, spool_dir=str(tmp_path))
    with gb.Client(config, http_client=http) as client, pytest.raises(RuntimeError, match="has been closed"):
        client.query(MODEL, "hi")


def test_a_client_serves_one_after_the_other_and_closes_without_a_trace(
    server: RunningGateway, tmp_path: Path, gateway_record: GatewayRecord
) -> None:
    config = gb.GatewayConfig.from_env(host=server.host, token=TOKEN, spool_dir=str(tmp_path / "spool"))
    http = httpx.AsyncClient(timeout=0.05)
    server.configure(latency_ms=200)  # its own timeout doesn't apply
    for _ in range(2):
        with gb.Client(config, http_client=http) as client:
            assert len(set(client.query_many(MODEL, PROMPTS))) == len(PROMPTS)
    asyncio.run(http.aclose())
    assert ours(sealed_rows(tmp_path / "spool")) == gateway_record()


def test_the_clients_own_proxy_and_headers_are_used(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, self.headers["x-team"]))
            body = says("by proxy").content
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        http = httpx.AsyncClient(proxy=f"http://127.0.0.1:{proxy.server_port}", headers={"x-team": "search"})
        config = gb.GatewayConfig.from_env(host="http://gateway.example", token=TOKEN, spool_dir=str(tmp_path))
        with gb.Client(config, http_client=http) as client:
            assert client.query(MODEL, "hi") == "by proxy"
        asyncio.run(http.aclose())
        proxy.shutdown()
        thread.join()
    assert asked == [("http://gateway.example/ai-gateway/mlflow/v1/chat/completions", "search")]
