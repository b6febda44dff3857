"""What stands between a client and its gateway: certificates and proxies."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from gateway_batch.errors import ConfigError, ErrorKind, UnreachableError
from gateway_batch.transport import open_transport
from gateway_batch.transport.control_calls import get
from gateway_batch.types import HttpReply, HttpRequest
from tests.waiting import WITHIN_S

from .transports import Opener

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Answers(BaseHTTPRequestHandler):
    """Answers each POST, and keeps the paths that were asked for."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    Answers.asked.clear()
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(url: str, open_transport: Opener) -> HttpReply:
    async def send() -> HttpReply:
        transport = open_transport()
        try:
            return await transport.send(HttpRequest(url, b"{}"), WITHIN_S)
        finally:
            await transport.close()

    return asyncio.run(send())


def test_a_certificate_of_an_unknown_authority_is_refused(
    open_transport: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with serving(context) as port:
        with pytest.raises(
            UnreachableError,
            match=r"could not connect: invalid peer certificate: (UnknownIssuer|unable to get local issuer)",
        ) as caught:
            post(f"https://localhost:{port}/", open_transport)
        assert caught.value.kind is ErrorKind.CONNECT
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert post(f"https://localhost:{port}/", open_transport).status == 200
        with pytest.raises(UnreachableError, match="invalid peer certificate"):  # it is of another name
            post(f"https://127.0.0.1:{port}/", open_transport)


def test_a_proxy_of_the_environment_is_used(open_transport: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        assert post("http://gateway.example/ai-gateway", open_transport).status == 200
    assert Answers.asked == ["http://gateway.example/ai-gateway"]


def test_no_proxy_is_kept_to(open_transport: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as port:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert post(f"http://127.0.0.1:{port}/direct", open_transport).status == 200
    assert Answers.asked == ["/direct"]


@pytest.mark.parametrize(("proxy", "reason"), [("socks5://127.0.0.1:9", "socksio"), ("gopher://127.0.0.1:9", "gopher")])
def test_a_proxy_that_httpx_has_no_means_for_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=f"httpx can't use the proxy of the environment: .*{reason}"):
        open_transport("httpx", "tests")
    with pytest.raises(ConfigError, match=reason):
        get("http://127.0.0.1:9/v1/models", {}, WITHIN_S)
