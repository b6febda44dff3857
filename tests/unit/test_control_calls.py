"""Control calls: a server can neither draw them out nor fill the memory."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.transport.control_calls import get

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_LENGTH = 64 << 20


@contextlib.contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of one request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/models"
        thread.join(10)


def drip(connection: socket.socket, part: bytes) -> None:
    ended = threading.Event()
    for _ in range(200):
        connection.sendall(part)
        ended.wait(0.05)


def dripping_head(connection: socket.socket) -> None:
    connection.sendall(_HEAD)
    drip(connection, b"x-more: 1\r\n")


def dripping_body(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"content-length: 1000\r\n\r\n")
    drip(connection, b" ")


def endless(connection: socket.socket) -> None:
    connection.sendall(_HEAD + f"content-length: {_LENGTH}\r\n\r\n".encode())
    for _ in range(_LENGTH >> 20):
        connection.sendall(bytes(1 << 20))


@pytest.mark.parametrize(
    ("answer", "within_s", "kind"),
    [
        (dripping_head, 0.5, ErrorKind.TIMEOUT),
        (dripping_body, 0.5, ErrorKind.TIMEOUT),
        (endless, 60.0, ErrorKind.DISCONNECT),
    ],
)
def test_a_server_can_not_hold_a_call_or_fill_the_memory(
    answer: Callable[[socket.socket], None], within_s: float, kind: ErrorKind
) -> None:
    with serving(answer) as url, pytest.raises(UnreachableError) as caught:
        get(url, {}, within_s)
    assert caught.value.kind is kind
