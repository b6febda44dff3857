"""The transport against a server that answers in pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway_batch.errors import ErrorKind, UnreachableError
from gateway_batch.transport import ReqwestTransport
from gateway_batch.types import HttpReply, HttpRequest

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n"
LONG = b"x" * 300_000


class Pieces:
    """Answers by what the request's body names; counts connections."""

    def __init__(self) -> None:
        self.connections = 0
        self.head_sent = asyncio.Event()
        self.over = asyncio.Event()
        self.open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                if not await self.answer((await reader.readexactly(length)).decode(), writer):
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def answer(self, wanted: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        match wanted:
            case "whole":
                writer.write(HEAD + b"helloworld")
            case "long":
                writer.write(HEAD.replace(b"10", b"300000") + LONG)
            case "cut" | "stall":
                writer.write(HEAD + b"hello")
                await writer.drain()
                self.head_sent.set()
                if wanted == "stall":
                    await self.over.wait()
                return False
        await writer.drain()
        return True


@asynccontextmanager
async def pieces() -> AsyncIterator[tuple[Pieces, ReqwestTransport, str]]:
    answers, transport = Pieces(), ReqwestTransport("tests")
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    try:
        yield answers, transport, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        answers.over.set()
        await transport.close()
        server.close()
        for writer in answers.open:
            writer.close()
        await asyncio.gather(*(task for task in answers.open.values() if task is not None))


async def send(transport: ReqwestTransport, url: str, wanted: str, timeout_s: float = 30) -> HttpReply:
    return await transport.send(HttpRequest(url, wanted.encode()), timeout_s)


def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    async def main(pause_s: float) -> int:
        async with pieces() as (answers, transport, url):
            for wanted, length in (("whole", 10), ("long", 300_000), ("whole", 10)):
                assert len((await send(transport, url, wanted)).body) == length
                await asyncio.sleep(pause_s)
            return answers.connections

    pauses_s = (0.05, 0.5, 5.0)  # the pool has it back a moment after its answer
    assert any(asyncio.run(main(pause_s)) == 1 for pause_s in pauses_s)


@pytest.mark.parametrize(
    ("wanted", "timeout_s", "kind"), [("cut", 30, ErrorKind.DISCONNECT), ("stall", 0.3, ErrorKind.TIMEOUT)]
)
def test_a_body_that_does_not_come_whole_is_no_answer(wanted: str, timeout_s: float, kind: ErrorKind) -> None:
    async def main() -> ErrorKind:
        async with pieces() as (_, transport, url):
            with pytest.raises(UnreachableError) as caught:
                await send(transport, url, wanted, timeout_s)
            return caught.value.kind

    assert asyncio.run(main()) is kind


def test_a_call_cancelled_in_its_body_ends_and_leaves_the_pool_usable() -> None:
    async def main() -> bytes:
        async with pieces() as (answers, transport, url):
            call = asyncio.create_task(send(transport, url, "stall"))
            await answers.head_sent.wait()
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return (await send(transport, url, "whole")).body

    assert asyncio.run(main()) == b"helloworld"
