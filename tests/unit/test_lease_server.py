"""The driver's lease service towards those who reach its port: strangers, the slow, and what is too large."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import orjson
import pytest

from gateway_batch.admission import DriverLeaseStore, lease_connections
from gateway_batch.admission.amount import ONE_REQUEST
from gateway_batch.admission.lease_server import LeaseServer
from gateway_batch.admission.leases import LeaseRequest, Limits
from gateway_batch.transport import open_transport
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("patient")
REQUEST = LeaseRequest("one", 1, Limits(concurrency=5), "b", wants_slots=3, need=ONE_REQUEST)


@pytest.fixture
def server() -> Iterator[LeaseServer]:
    server = LeaseServer("127.0.0.1", "127.0.0.1")
    yield server
    server.close()


def connected(server: LeaseServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def open_connections(server: LeaseServer) -> int:
    return len(server._server.server_state.connections)


def is_served(server: LeaseServer) -> bool:
    async def main() -> bool:
        transport = open_transport("pyreqwest", "test")
        try:
            store = DriverLeaseStore(server.url, "limits", server.token, transport.send)
            return (await store.exchange(REQUEST)).slots == 3
        finally:
            await transport.close()

    return asyncio.run(main())


def head(server: LeaseServer, token: str, more: str = "") -> bytes:
    return f"POST /limits HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n{more}".encode()


def answered(connection: socket.socket, sent: bytes) -> bytes:
    """All that is answered until the server closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        while part := connection.recv(1 << 16):
            found += part
    return found


def test_idle_strangers_are_few_and_the_workers_are_served(server: LeaseServer) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(460):
            opened.enter_context(connected(server))
        wait_until(lambda: 0 < open_connections(server) <= lease_connections.MOST_STRANGERS)
        assert is_served(server)


def test_a_worker_that_is_known_is_no_stranger(server: LeaseServer) -> None:
    body = orjson.dumps(REQUEST)
    with contextlib.ExitStack() as opened:
        known = opened.enter_context(connected(server))
        asked = head(server, server.token, f"content-length: {len(body)}\r\n\r\n") + body
        known.sendall(asked)
        assert known.recv(1 << 16).startswith(b"HTTP/1.1 200")
        for _ in range(200):
            opened.enter_context(connected(server))
        known.sendall(asked)
        assert known.recv(1 << 16).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", ["nothing", "a part of the head", "a part of the body", "a request before"])
def test_a_connection_has_a_moment_for_a_request(
    server: LeaseServer, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_connections, "WITHIN_S", 0.2)
    body = orjson.dumps(REQUEST)
    request = head(server, server.token, f"content-length: {len(body)}\r\n\r\n") + body
    parts = {"nothing": b"", "a part of the head": request[:30], "a part of the body": request[:-5]}
    with connected(server) as connection:
        found = answered(connection, parts.get(sent, request))
        assert found.startswith(b"HTTP/1.1 200") is (sent == "a request before")
    wait_until(lambda: open_connections(server) == 0)
    assert is_served(server)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (lambda server: head(server, "guessed", "content-length: 2\r\n\r\n{}"), b"401"),
        (lambda server: head(server, "guessed", f"content-length: {1 << 40}\r\n\r\n"), b"401"),
        (lambda server: head(server, "\xff", "content-length: 2\r\n\r\n{}"), b"401"),
        (lambda server: head(server, "x" * 10_000_000), b"4"),
        (lambda server: head(server, server.token, "content-length: 10000000\r\n\r\n") + b"x" * 10_000_000, b"413"),
        (lambda server: b"\x16\x03\x01 no HTTP\r\n\r\n", b"400"),
        (lambda server: b"GET /limits HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"405"),
    ],
    ids=["no token", "no token, a large body", "another letter", "a large head", "a large body", "no HTTP", "GET"],
)
def test_what_is_no_lease_request_is_refused_and_the_connection_closed(
    server: LeaseServer, request_: object, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(request_)
    with connected(server) as connection:
        found = answered(connection, request_(server))
        assert not found or found.startswith(b"HTTP/1.1 " + status)  # a reset may overtake the answer
    assert is_served(server)
    assert not caplog.records


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        orjson.dumps(REQUEST).replace(b'"wants_slots":3', b'"wants_slots":-3'),
        orjson.dumps(REQUEST).replace(b'"wants_slots":3', b'"wants_slots":1e300'),
        orjson.dumps(REQUEST).replace(b'"need":{"requests":1', b'"need":{"requests":null'),
        orjson.dumps(REQUEST).replace(b'"need":{"requests":1', b'"need":{"requests":1e300'),
        orjson.dumps(REQUEST).replace(b'"number":1', b'"number":"1"'),
        orjson.dumps(REQUEST).replace(b'"number":1', b'"number":1,"of_later":2'),
    ],
    ids=str,
)
def test_a_body_that_is_no_lease_request_is_refused(server: LeaseServer, body: bytes) -> None:
    with connected(server) as connection:
        sent = head(server, server.token, f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n") + body
        assert answered(connection, sent).startswith(b"HTTP/1.1 400")
    assert is_served(server)
