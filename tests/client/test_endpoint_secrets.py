"""Secrets of an endpoint's headers and query over the network: they arrive, and are neither logged nor told."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gateway_batch import CallError, Client, GatewayConfig

MARKER = "PLANTED0123456789"


@contextmanager
def telling_server() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A server that refuses each call with all that it got: its base URL, and that."""
    got: list[tuple[str, dict[str, str]]] = []

    class Telling(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got.append((self.path, headers))
            body = json.dumps({"error": {"message": f"no: {self.path} {headers}"}}).encode()
            self.send_response(400)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Telling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", got
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("way", ["pyreqwest", "httpx", "http_client"])
def test_secrets_arrive_and_are_neither_logged_nor_told(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIGNATURE", f"{MARKER}-s/1")
    monkeypatch.setenv("SUBSCRIPTION", f"{MARKER}-k")
    caplog.set_level(logging.DEBUG)
    with telling_server() as (base_url, got):
        entry = {
            "base_url": base_url,
            "token": f"{MARKER}-t",
            "key_header": "x-api-key",
            "headers": {"ocp-apim-subscription-key": "env:SUBSCRIPTION", "OpenAI-Organization": "org-1"},
            "query": {"api-version": "2024-10-21", "sig": "env:SIGNATURE"},
        }
        config = GatewayConfig.from_env(
            endpoints={"mine": entry},
            spool_dir=str(tmp_path / "spool"),
            transport="httpx" if way == "httpx" else "pyreqwest",
        )
        http = httpx.AsyncClient() if way == "http_client" else None
        with Client(config, http_client=http) as client, pytest.raises(CallError) as caught:
            client.query("mine", "hi")
    ((path, headers),) = got
    assert path == f"/v1/chat/completions?api-version=2024-10-21&sig={MARKER}-s%2F1"
    assert headers["x-api-key"] == f"{MARKER}-t"
    assert headers["ocp-apim-subscription-key"] == f"{MARKER}-k"
    assert headers["openai-organization"] == "org-1"
    assert "authorization" not in headers
    if way != "pyreqwest":
        assert any("/v1/chat/completions" in record.getMessage() for record in caplog.records), "httpx logs its calls"
    assert MARKER not in f"{caught.value!r} {caught.value.request_id} {caplog.text}"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not any(MARKER.encode() in file.read_bytes() for file in files)
