"""Closing a connection under an answer, which ASGI itself has no word for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_KEY = "devgateway.transport"

if TYPE_CHECKING:
    _Protocol = asyncio.Protocol
else:
    _Protocol = AutoHTTPProtocol


class ClosableProtocol(_Protocol):
    """uvicorn's HTTP protocol, which shows each request its connection in the scope's state."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.app_state = {**self.app_state, _KEY: transport}
        super().connection_made(transport)


async def close_connection(scope: Scope, receive: Receive) -> None:
    """Sends what was written so far, closes the connection and returns once it is closed.

    Raises:
        RuntimeError: the app runs on a server without `ClosableProtocol`.
    """
    transport = scope.get("state", {}).get(_KEY)
    if transport is None:
        raise RuntimeError("this server cannot close a connection; run the app with `serve` or `running`")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
