"""Whole HTTP answers as bytes, damaged at random, head and body, and a server that sends them."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections import Counter
from random import Random
from types import TracebackType
from typing import Self

from .test_mutated_answers import MUTATIONS, bodies_for

EVENT_ID = "x-client-request-id"

STATUS_LINES = [b"HTTP/1.1 200 OK"] * 60 + [b"HTTP/1.1 %d X" % status for status in (201, 204, 302, 400, 401, 403, 404)]
STATUS_LINES += [b"HTTP/1.1 %d X" % status for status in (408, 409, 413, 418, 429, 429, 500, 503, 529, 599)]
STATUS_LINES += [b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 999 Odd", b"HTTP/1.1 200 caf\xe9", b"HTTP/2 200 OK"]
STATUS_LINES += [b"http/1.1 200 ok", b"HTTP/1.1 20", b"HTTP/1.1 -1 X", b"SSH-2.0-OpenSSH", b"", b"\x16\x03\x01\x02"]
STATUS_LINES += [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 101 Switching Protocols"]

HEADERS = [
    b"x-request-id: caf\xe9", b"x-request-id: " + b"r" * 5_000, b"x-request-id: \xed\xa0\x80", b"x-request-id:",
    b"content-type: text/html; charset=\xff", b"content-type: application/json; charset=utf-16", b"x y: 1", b"no colon",
    b": empty", b"x-fold: a\r\n b", b"x-nul: a\x00b", b"x-tab:\tb", b"x-long: " + b"y" * 20_000, b"x-space : 1",
    b"retry-after: 1e308", b"retry-after: -1", b"retry-after: caf\xe9", b"retry-after: Fri, 31 Dec 3000 23:59:59 GMT",
    b"retry-after-ms: 1e300", b"retry-after-ms: nan", b"x-ratelimit-reset-requests: 99999999999d",
    b"x-ratelimit-reset-tokens: 1s\r\nx-ratelimit-remaining-tokens: 0", b"location: http://user:pw@host/\xff?key=1",
    b"location: //[::1", b"set-cookie: a=b", b"content-encoding: gzip", b"content-encoding: br",
    b"content-encoding: gzip, gzip", b"content-encoding: nonsense", b"connection: close", b"connection: upgrade",
    b"keep-alive: timeout=-1", b"www-authenticate: Bearer \xff", b"x" * 300 + b": 1", b"date: never", b"trailer: x",
]  # fmt: skip


def answer_to(seed: str, api: str, number: int) -> tuple[bytes, bool]:
    """The bytes that a request of an API is answered with, and whether the connection stays open after them."""
    rng = Random(f"{seed} {api} {number}")
    body = rng.choice(bodies_for(api))
    if rng.random() < 0.5:
        body = rng.choice(MUTATIONS)(rng, body)
    headers = [rng.choice(HEADERS) for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 90)))]
    if rng.random() < 0.1:
        headers.append(b"content-encoding: gzip")
        body = gzip.compress(body)[: rng.choice((None, None, 20))]
    framed, headers[len(headers) : len(headers)] = _framed(rng, body)
    rng.shuffle(headers)
    end = b"\r\n" if rng.random() < 0.97 else b"\n"
    head = end.join([rng.choice(STATUS_LINES), *headers, b"", b""])
    if rng.random() < 0.03:
        at = rng.randrange(len(head))
        head = head[:at] + rng.randbytes(rng.randrange(8)) + head[at + rng.randrange(8) :]
    return head + framed, rng.random() < 0.5


def _framed(rng: Random, body: bytes) -> tuple[bytes, list[bytes]]:
    """A body on the wire, and the headers that say where it ends, rightly or not."""
    right = b"content-length: %d" % len(body)
    damage = ["short", "long", "none", "twice", "odd", "chunked", "bad chunks", "both", "more"]
    match rng.choice(["right"] * 20 + damage):
        case "short":
            return body, [b"content-length: %d" % (len(body) // 2)]
        case "long":
            return body, [b"content-length: %d" % (len(body) + 7)]
        case "none":
            return body, []
        case "twice":
            return body, [right, b"content-length: %d" % rng.randrange(90)]
        case "odd":
            return body, [b"content-length: " + rng.choice((b"-1", b"0x10", b"1e3", b"9" * 30, b"", b"ten"))]
        case "chunked":
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), [b"transfer-encoding: chunked"]
        case "bad chunks":
            size = rng.choice((b"zz", b"-1", b"f" * 30, b"%x;" % len(body) + b"x" * 5_000, b""))
            return size + b"\r\n" + body + b"\r\n", [b"transfer-encoding: chunked"]
        case "both":
            return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), [right, b"transfer-encoding: chunked"]
        case "more":
            return body + rng.choice((b"\r\n", b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")), [right]
    return body, [right]


class DamagingServer:
    """Answers the first request for each number with damage, later ones with 400, and counts them all.

    Args:
        seed: of the damage.
        api: the wire format of the answers.
    """

    def __init__(self, seed: str, api: str) -> None:
        self._seed = seed
        self._api = api
        self._open: set[asyncio.StreamWriter] = set()
        self.requests: Counter[int] = Counter()
        self.event_ids: set[str] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
                await reader.readexactly(int(headers["content-length"]))
                number = int(head.split()[1].rpartition("/")[2])
                self.requests[number] += 1
                self.event_ids.add(headers[EVENT_ID])
                if self.requests[number] > 1:
                    writer.write(b"HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n")
                    continue
                answer, stays_open = answer_to(self._seed, self._api, number)
                writer.write(answer)
                await writer.drain()
                if not stays_open:
                    break
        self._open.discard(writer)
        writer.close()
