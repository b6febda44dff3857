"""Every transport against a server that answers in pieces, and keeps what reached it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway_batch.errors import ErrorKind, MalformedError, UnreachableError
from gateway_batch.transport import Transport
from gateway_batch.types import HttpReply, HttpRequest
from tests.waiting import WITHIN_S

from .transports import AGENT, OPENERS, Opener

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n"
LONG = b"x" * 300_000
MANY = 100
SQUEEZED = gzip.compress(b"helloworld")
BOMB = gzip.compress(b"x" * 100_000_000)
ODD = {
    "moved": b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
    "broken": b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops",
    "cookie": HEAD.replace(b"content-length", b"set-cookie: a=b\r\ncontent-length") + b"helloworld",
    "foreign": HEAD.replace(b"content-length", b"x-name: caf\xc3\xa9\r\nretry-after: 7\r\ncontent-length")
    + b"helloworld",
    "gzip": HEAD.replace(b"10", b"%d\r\ncontent-encoding: gzip" % len(SQUEEZED)) + SQUEEZED,
    "not gzip": HEAD.replace(b"10", b"10\r\ncontent-encoding: gzip") + b"helloworld",
    "odd head": HEAD.replace(b"content-length", b"x y: 3\r\nx-a : 4\r\nno colon\r\nretry-after: 7\r\ncontent-length")
    + b"helloworld",
    "brotli": HEAD.replace(b"10", b"10\r\ncontent-encoding: br, gzip") + b"helloworld",
    "bomb": HEAD.replace(b"10", b"%d\r\ncontent-encoding: gzip" % len(BOMB)) + BOMB,
    "large": HEAD.replace(b"10", b"3000000") + b"x" * 3_000_000,
    "large refusal": b"HTTP/1.1 500 Oops\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000,
    "brotli refusal": b"HTTP/1.1 429 Slow\r\ncontent-encoding: br\r\nretry-after: 3\r\n"
    b"content-length: 3\r\n\r\nx\x00\xff",
    "cut refusal": b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 400\r\n\r\nbusy",
    "GZIP": HEAD.replace(b"10", b"%d\r\ncontent-encoding: GZIP" % len(SQUEEZED)) + SQUEEZED,
    "not HTTP": b"SSH-2.0-OpenSSH_9.2 private\r\n\r\n",
}


class Pieces:
    """Answers by what the request's body names; counts connections and keeps the requests' heads."""

    def __init__(self) -> None:
        self.connections = 0
        self.heads: list[str] = []
        self.waiting = 0
        self.all_wait = asyncio.Event()
        self.head_sent = asyncio.Event()
        self.over = asyncio.Event()
        self.open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
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
            case "together":  # 100 of them are under way at once
                self.waiting += 1
                if self.waiting == MANY:
                    self.all_wait.set()
                await self.all_wait.wait()
                writer.write(HEAD + b"helloworld")
            case "nothing":
                return False
            case name if name in ODD:
                writer.write(ODD[name])
                if name == "cut refusal":
                    return False
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
async def pieces(open_transport: Opener) -> AsyncIterator[tuple[Pieces, Transport, str]]:
    answers, transport = Pieces(), open_transport()
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


async def send(transport: Transport, url: str, wanted: str, timeout_s: float = 30) -> HttpReply:
    return await transport.send(HttpRequest(url, wanted.encode()), timeout_s)


def test_a_connection_is_used_again_after_a_whole_answer(open_transport: Opener) -> None:
    async def main(pause_s: float) -> int:
        async with pieces(open_transport) as (answers, transport, url):
            for wanted, length in (("whole", 10), ("long", 300_000), ("whole", 10)):
                assert len((await send(transport, url, wanted)).body) == length
                await asyncio.sleep(pause_s)
            return answers.connections

    pauses_s = (0.05, 0.5, 5.0)  # the pool has it back a moment after its answer
    assert any(asyncio.run(main(pause_s)) == 1 for pause_s in pauses_s)


@pytest.mark.parametrize(
    ("wanted", "timeout_s", "kind"),
    [
        ("cut", 30, ErrorKind.DISCONNECT),
        ("nothing", 30, ErrorKind.DISCONNECT),
        ("not gzip", 30, ErrorKind.DISCONNECT),
        ("not HTTP", 30, ErrorKind.DISCONNECT),
        ("stall", 0.3, ErrorKind.TIMEOUT),
    ],
)
def test_a_body_that_does_not_come_whole_is_no_answer(
    open_transport: Opener, wanted: str, timeout_s: float, kind: ErrorKind
) -> None:
    async def main() -> ErrorKind:
        async with pieces(open_transport) as (_, transport, url):
            with pytest.raises(UnreachableError) as caught:
                await send(transport, url, wanted, timeout_s)
            assert "private" not in str(caught.value)
            return caught.value.kind

    assert asyncio.run(main()) is kind


def test_a_call_cancelled_in_its_body_ends_and_leaves_the_pool_usable(open_transport: Opener) -> None:
    async def main() -> bytes:
        async with pieces(open_transport) as (answers, transport, url):
            call = asyncio.create_task(send(transport, url, "stall"))
            await answers.head_sent.wait()
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return (await send(transport, url, "whole")).body

    assert asyncio.run(main()) == b"helloworld"


def test_as_many_are_under_way_as_are_sent(open_transport: Opener) -> None:
    async def main() -> tuple[int, int]:
        async with pieces(open_transport) as (answers, transport, url):
            replies = await asyncio.gather(*(send(transport, url, "together") for _ in range(MANY)))
            return answers.connections, sum(reply.body == b"helloworld" for reply in replies)

    assert asyncio.run(main()) == (MANY, MANY)


@pytest.mark.parametrize(("wanted", "status", "body"), [("broken", 500, b"oops"), ("moved", 302, b"")])
def test_any_status_is_an_answer_and_no_redirect_is_followed(
    open_transport: Opener, wanted: str, status: int, body: bytes
) -> None:
    async def main() -> int:
        async with pieces(open_transport) as (answers, transport, url):
            reply = await send(transport, url, wanted)
            assert (reply.status, reply.body) == (status, body)
            return len(answers.heads)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("wanted", ["gzip", "GZIP"])
def test_a_compressed_answer_is_unpacked(open_transport: Opener, wanted: str) -> None:
    async def main() -> bytes:
        async with pieces(open_transport) as (_, transport, url):
            return (await send(transport, url, wanted)).body

    assert asyncio.run(main()) == b"helloworld"


@pytest.mark.parametrize("wanted", ["bomb", "large"])
def test_an_answer_that_is_too_large_is_not_read_on(open_transport: Opener, wanted: str) -> None:
    async def main() -> tuple[MalformedError, bytes]:
        async with pieces(open_transport) as (_, transport, url):
            with pytest.raises(MalformedError, match="larger than 2 MB unpacked, the setting max_answer_mb") as caught:
                await send(transport, url, wanted)
            return caught.value, (await send(transport, url, "whole")).body

    error, next_body = asyncio.run(main())
    assert (error.kind, error.status) == (ErrorKind.INVALID_RESPONSE, 200)
    assert next_body == b"helloworld"


def test_of_a_large_refusal_the_begin_is_read(open_transport: Opener) -> None:
    async def main() -> HttpReply:
        async with pieces(open_transport) as (_, transport, url):
            return await send(transport, url, "large refusal")

    reply = asyncio.run(main())
    assert (reply.status, len(reply.body)) == (500, 256 << 10)


@pytest.mark.parametrize("open_transport", [OPENERS["httpx"], OPENERS["http_client"]], ids=["httpx", "http_client"])
@pytest.mark.parametrize(("wanted", "status"), [("brotli refusal", 429), ("cut refusal", 503)])
def test_of_a_refusal_whose_body_cant_be_read_the_rest_is(open_transport: Opener, wanted: str, status: int) -> None:
    async def main() -> HttpReply:
        async with pieces(open_transport) as (_, transport, url):
            return await send(transport, url, wanted)

    reply = asyncio.run(main())
    assert (reply.status, reply.headers.get("retry-after")) == (status, "3")


@pytest.mark.parametrize("open_transport", [OPENERS["httpx"], OPENERS["http_client"]], ids=["httpx", "http_client"])
def test_httpx_unpacks_only_what_it_asked_for(open_transport: Opener) -> None:
    async def main() -> int | None:
        async with pieces(open_transport) as (_, transport, url):
            with pytest.raises(MalformedError, match="content-encoding") as caught:
                await send(transport, url, "brotli")
            return caught.value.status

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize("open_transport", [OPENERS["pyreqwest"]], ids=["pyreqwest"])
def test_lines_of_a_head_that_are_no_headers_hide_no_other(open_transport: Opener) -> None:
    async def main() -> HttpReply:
        async with pieces(open_transport) as (_, transport, url):
            return await send(transport, url, "odd head")

    reply = asyncio.run(main())
    assert (reply.body, reply.headers.get("retry-after"), reply.headers.get("x-a")) == (b"helloworld", "7", "4")


def test_a_header_that_is_not_ascii_hides_no_other(open_transport: Opener) -> None:
    async def main() -> HttpReply:
        async with pieces(open_transport) as (_, transport, url):
            return await send(transport, url, "foreign")

    headers = asyncio.run(main()).headers
    assert dict(headers.items())["retry-after"] == headers.get("Retry-After") == "7"
    assert headers.get("x-name") in (None, "café")
    assert headers.get("x-request-id") is None


def test_a_request_has_each_header_once_and_its_own_come_first(open_transport: Opener) -> None:
    own = {"Accept": "text/plain", "authorization": "Bearer t0kén", "x-client-request-id": "7"}

    async def main() -> str:
        async with pieces(open_transport) as (answers, transport, url):
            await transport.send(HttpRequest(url, b"whole", own), 30)
            return answers.heads[0]

    lines = [line.partition(": ")[::2] for line in asyncio.run(main()).splitlines()[1:] if line]
    found = {name.lower(): value for name, value in lines}
    assert len(found) == len(lines)
    assert {name.lower(): value for name, value in own.items()}.items() <= found.items()
    assert (found["content-type"], found["user-agent"]) == ("application/json", AGENT)
    assert "gzip" in found["accept-encoding"]


@pytest.mark.parametrize("open_transport", [OPENERS["pyreqwest"], OPENERS["httpx"]], ids=["pyreqwest", "httpx"])
def test_cookies_are_not_kept(open_transport: Opener) -> None:
    async def main() -> list[str]:
        async with pieces(open_transport) as (answers, transport, url):
            for _ in range(2):
                await send(transport, url, "cookie")
            return answers.heads

    assert ["cookie:" in head.lower() for head in asyncio.run(main())] == [False, False]


@pytest.mark.parametrize(
    ("url", "headers"),
    [("http://[::1/secret", {}), ("secret", {}), ("ftp://secret/", {}), ("http://127.0.0.1:9/", {"a": "secret\nb"})],
    ids=["address", "no URL", "scheme", "header"],
)
def test_a_request_that_cannot_be_built_says_so_and_no_secret(
    open_transport: Opener, url: str, headers: dict[str, str]
) -> None:
    async def main() -> UnreachableError:
        async with pieces(open_transport) as (_, transport, listening):
            with pytest.raises(UnreachableError, match="can't be built") as caught:
                await transport.send(HttpRequest(url.replace("http://127.0.0.1:9/", listening), b"{}", headers), 30)
            return caught.value

    error = asyncio.run(main())
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("http://127.0.0.1:1/v1?key=secret", "refused"), ("http://nowhere.invalid/?key=secret", "[Nn]ame")],
)
def test_no_connection_has_a_reason_and_no_url(open_transport: Opener, url: str, reason: str) -> None:
    async def main() -> UnreachableError:
        async with pieces(open_transport) as (_, transport, _):
            with pytest.raises(UnreachableError, match=f"could not connect: .*{reason}") as caught:
                await send(transport, url, "whole")
            return caught.value

    error = asyncio.run(main())
    assert error.kind is ErrorKind.CONNECT
    assert "secret" not in str(error)


def test_a_time_limit_that_passes_in_the_handshake_is_a_timeout_and_ends_the_connection(
    open_transport: Opener,
) -> None:
    async def main() -> ErrorKind:
        async with pieces(open_transport) as (answers, transport, url):
            with pytest.raises(UnreachableError) as caught:
                await send(transport, url.replace("http://", "https://"), "whole", 0.3)
            (handler,) = answers.open.values()
            assert handler is not None
            await asyncio.wait_for(handler, WITHIN_S)
            return caught.value.kind

    assert asyncio.run(main()) is ErrorKind.TIMEOUT


@pytest.mark.parametrize("kind", OPENERS)
def test_no_connection_within_its_own_limit_is_one_of_connecting(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("reqwest", "httpx_transport"):
        monkeypatch.setattr(f"gateway_batch.transport.{module}.CONNECT_TIMEOUT_S", 0.3)

    async def main() -> ErrorKind:
        async with pieces(OPENERS[kind]) as (_, transport, url):
            with pytest.raises(UnreachableError, match=r"no connection within 0\.3 s") as caught:
                await send(transport, url.replace("http://", "https://"), "whole")
            return caught.value.kind

    assert asyncio.run(main()) is ErrorKind.CONNECT


@pytest.mark.parametrize("kind", ["httpx", "http_client"])
def test_closing_ends_the_connections_of_httpx(kind: str) -> None:
    async def main() -> None:
        async with pieces(OPENERS[kind]) as (answers, transport, url):
            await send(transport, url, "whole")
            (handler,) = answers.open.values()
            assert handler is not None
            await transport.close()
            await asyncio.wait_for(handler, WITHIN_S)

    asyncio.run(main())
