"""Clients of `gb.Client` over a scripted transport, closed at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway_batch import Client, GatewayConfig
from gateway_batch.transport import FakeTransport
from gateway_batch.types import HttpReply, HttpRequest

from .samples import chat_reply, reply, sealed_rows

MODEL = "databricks-gpt-5-4"


VECTORS = "databricks-gte-large-en"


Answer = Callable[[HttpRequest], Awaitable[HttpReply]]


def asked(request: HttpRequest) -> str:
    return str(json.loads(request.body)["messages"][-1]["content"])


async def echo(request: HttpRequest) -> HttpReply:
    """A chat model that says what it was asked, after a nap; `fail` in it is a 400, `hang` never ends."""
    text = asked(request)
    if "hang" in text:
        await asyncio.sleep(600)
    if "fail" in text:
        return reply(400, {"message": f"no: {text}"})
    await asyncio.sleep(0.001 * (hash(text) % 5))
    return chat_reply(text)


async def embed(request: HttpRequest) -> HttpReply:
    """Vectors of the texts' lengths; a chat is none of its business."""
    given = json.loads(request.body).get("input")
    if given is None:
        return reply(400, {"message": "no input"})
    texts = [given] if isinstance(given, str) else given
    return reply(200, {"data": [{"index": place, "embedding": [len(text)]} for place, text in enumerate(texts)]})


class Bench:
    """Clients of one test, and what they sent and recorded."""

    def __init__(self, folder: Path) -> None:
        self.spool_dir = folder / "spool"
        self.clients: list[Client] = []
        self.sent: list[HttpRequest] = []

    def open(self, answer: Answer = echo, **settings: Any) -> Client:
        transport = FakeTransport(answer)
        self.sent = transport.sent
        given = {"host": "https://h", "token": "t", "spool_dir": str(self.spool_dir), **settings}
        self.clients.append(Client(GatewayConfig.from_env(**given), open_transport=lambda: transport))
        return self.clients[-1]

    def body(self) -> Any:
        """Of the last request."""
        return json.loads(self.sent[-1].body)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all its clients, which are closed for it."""
        for client in self.clients:
            client.close()
        return sealed_rows(self.spool_dir)


def kinds(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row["client_metadata"].get("error_kind") for row in rows]


@contextmanager
def client_bench(folder: Path) -> Iterator[Bench]:
    """A bench whose clients have their temporary files in the folder."""
    bench = Bench(folder)
    try:
        yield bench
    finally:
        for client in bench.clients:
            client.close()
