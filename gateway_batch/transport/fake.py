"""A transport without a network, for tests of anything above it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway_batch.types import HttpReply, HttpRequest


class FakeTransport:
    """Answers by a function and keeps what it was sent.

    Args:
        answer: from request to reply; it may raise what a transport raises.
    """

    def __init__(self, answer: Callable[[HttpRequest], Awaitable[HttpReply]]) -> None:
        self._answer = answer
        self.sent: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpReply:
        """Keeps the request and returns the function's reply."""
        self.sent.append(request)
        return await self._answer(request)

    async def close(self) -> None:
        """Nothing to close."""
