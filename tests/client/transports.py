"""Every transport to the network; the tests of one are the tests of all."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from gateway_batch.transport import Transport
from gateway_batch.transport.httpx_transport import HttpxClientTransport, HttpxTransport
from gateway_batch.transport.reqwest import ReqwestTransport
from gateway_batch.types import HttpReply, HttpRequest

AGENT = "tests/1"
MOST_BYTES = 2 << 20

Opener = Callable[[], Transport]


class ThroughAClient:
    """A user's client: what opens it closes it, after the transport."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient()
        self._transport = HttpxClientTransport(self._client, AGENT, MOST_BYTES)

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        return await self._transport.send(request, timeout_s)

    async def close(self) -> None:
        await self._transport.close()
        await self._client.aclose()


OPENERS: dict[str, Opener] = {
    "pyreqwest": lambda: ReqwestTransport(AGENT, MOST_BYTES),
    "httpx": lambda: HttpxTransport(AGENT, MOST_BYTES),
    "http_client": ThroughAClient,
}
