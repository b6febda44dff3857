"""What a transport is."""

from __future__ import annotations

from typing import Protocol

from gateway_batch.types import HttpReply, HttpRequest

CONNECT_TIMEOUT_S = 10.0
JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}
"""Those of every request that has no others by these names."""


class Transport(Protocol):
    """Moves one request to the network and its whole answer back. It never retries and follows no redirects."""

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """The answer, whatever its status.

        Raises:
            UnreachableError: no whole answer arrived; its kind says whether connecting, reading or time failed.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...
