"""Requests as bytes on sockets, for tests that are about the moment of sending, or about what is left unread."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

from gateway_batch.devgateway import RunningGateway
from tests.waiting import WITHIN_S

CHAT = "/ai-gateway/mlflow/v1/chat/completions"


def plain_socket(gateway: RunningGateway) -> socket.socket:
    address = urlsplit(gateway.host)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=WITHIN_S)


def raw_request(body: dict[str, Any], **headers: str) -> bytes:
    """A chat request; underscores of header names stand for dashes."""
    content = json.dumps(body).encode()
    named = {"host": "x", "content-length": str(len(content)), **headers}
    lines = [f"POST {CHAT} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def status_of(connection: socket.socket) -> int:
    """The status of the answer."""
    with connection.makefile("rb") as answer:
        return int(answer.readline().split()[1])
