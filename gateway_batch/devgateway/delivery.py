"""Sends an answer, whole, streamed, cut short or not at all, and writes its usage row before its end leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from gateway_batch.devgateway.ask import TokenCounts
from gateway_batch.devgateway.connection import close_connection

Record = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An answer on its way.

    Attributes:
        status: None closes the connection without an answer.
        content_type: None is JSON; an empty one is not sent.
        frames: the body; several of them only if it is streamed.
        cut: whether the connection closes in the middle of the body.
        tokens: for the usage row; None for a failed call.
        pause_ms: between frames.
    """

    status: int | None
    content_type: str | None = None
    frames: Iterable[bytes] = (b"",)
    streamed: bool = False
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    tokens: TokenCounts | None = None
    error_code: str | None = None
    pause_ms: float = 0

    async def send(self, scope: Scope, receive: Receive, send: Send, *, begin: Record, record: Record) -> None:
        """Sends it.

        Args:
            scope: of the request, as `receive` and `send` are.
            receive: its messages.
            send: where the answer goes.
            begin: called just before the first byte leaves.
            record: called just before the last one does, however it ends.
        """
        if self.status is None:
            record()
            await close_connection(scope, receive)
        elif self.streamed:
            await self._stream(scope, receive, send, begin, record)
        else:
            record()
            await self._send_whole(scope, receive, send)

    async def _send_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"".join(self.frames)
        await self._start(send, {"content-length": str(len(body))})
        kept = body[: len(body) // 2] if self.cut else body
        await send({"type": "http.response.body", "body": kept, "more_body": self.cut})
        if self.cut:
            await close_connection(scope, receive)

    async def _stream(self, scope: Scope, receive: Receive, send: Send, begin: Record, record: Record) -> None:
        begin()
        recorded = False
        try:
            await self._start(send, {"cache-control": "no-cache"})
            for frame, last in _with_last(_first_half(self.frames) if self.cut else self.frames):
                if last:
                    record()
                    recorded = True
                await send({"type": "http.response.body", "body": frame, "more_body": not last or self.cut})
                if self.pause_ms and not last:
                    await asyncio.sleep(self.pause_ms / 1000)
        finally:
            if not recorded:
                record()
        if self.cut:
            await close_connection(scope, receive)

    async def _start(self, send: Send, headers: dict[str, str]) -> None:
        kind = "application/json" if self.content_type is None else self.content_type
        given = {**({"content-type": kind} if kind else {}), **headers, **self.headers}
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})


def _with_last(frames: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each frame and whether it is the last one."""
    following = iter(frames)
    frame = next(following, b"")
    for after in following:
        yield frame, False
        frame = after
    yield frame, True


def _first_half(frames: Iterable[bytes]) -> list[bytes]:
    every = list(frames)
    return every[: max(1, len(every) // 2)]
