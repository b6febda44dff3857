"""A server that answers a prompt `hostile NAME` with that one of the hostile answers, and others as a model would.

It prints `ready PORT`, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

LATENCY_S = 0.5
"""Between a request and its answer, a hostile one too: so that all rows are in flight."""

_MB = b"x" * (1 << 20)
_GB_PACKED = gzip.compress(_MB * 1024)
_ASKED = re.compile(rb"hostile (\w+)")

Pieces = AsyncIterator[bytes]


def _answer(status: str = "200 OK", usage: Any = None, head: bytes = b"", body: bytes | None = None) -> bytes:
    if body is None:
        usage = usage or {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        body = json.dumps({"model": "m", "choices": [{"message": {"content": "yes"}}], "usage": usage}).encode()
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status.encode(), len(body), head, body)


def _text(text: bytes) -> bytes:
    return _answer(body=b'{"choices": [{"message": {"content": "' + text + b'"}}], "usage": {"total_tokens": 4}}')


def _large(status: str) -> Callable[[], Pieces]:
    async def pieces() -> Pieces:
        yield b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status.encode(), 512 << 20)
        for _ in range(512):
            yield _MB

    return pieces


async def _endless_chunks() -> Pieces:
    yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"100000\r\n" + _MB + b"\r\n"


async def _endless_head() -> Pieces:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"x-filler: " + _MB[:1000] + b"\r\n"


async def _drip() -> Pieces:
    for byte in _answer():
        yield bytes([byte])
        await asyncio.sleep(0.2)


HOSTILE: dict[str, bytes | Callable[[], Pieces]] = {
    "tokens_2_63": _answer(usage=dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 2**63 - 1)),
    "tokens_10_30": _answer(usage={"prompt_tokens": 10**30, "completion_tokens": 1e300}),
    "tokens_negative": _answer(usage={"prompt_tokens": -(2**62), "completion_tokens": -1}),
    "header_not_ascii": _answer(head=b"x-request-id: caf\xe9\r\ncontent-type: text/\xff\r\n"),
    "many_headers": _answer(head=b"".join(b"x-%d: y\r\n" % number for number in range(5_000))),
    "endless_head": _endless_head,
    "wait_year_3000": _answer("429 Slow", head=b"retry-after: Fri, 31 Dec 3000 23:59:59 GMT\r\n"),
    "wait_1e308": _answer("429 Slow", head=b"retry-after: 1e308\r\n"),
    "wait_a_day": _answer("503 Busy", head=b"retry-after: 86400\r\n"),
    "gzip_bomb": _answer(head=b"content-encoding: gzip\r\n", body=_GB_PACKED),
    "large_answer": _large("200 OK"),
    "large_refusal": _large("500 Oops"),
    "endless_chunks": _endless_chunks,
    "drip": _drip,
    "half_surrogate": _text(b"\\ud800"),
    "not_utf_8": _text(b"\xff\xfe"),
    "control_characters": _text(b"\x1b[2J\x00"),
    "large_not_utf_8": _text(b"x" * (16 << 20) + b"\xff"),
    "large_nan": _answer(body=b'{"a": "' + b"x" * (16 << 20) + b'", "usage": {"total_tokens": NaN}}'),
    "json_cut_off": _answer(body=b'{"choices": [{"message": {"content": "' + b'{\\"a\\": 1}' * 500_000),
    "refusal_cut_off": _answer("500 Oops", body=b'{"message": "' + b'{\\"a\\": 1}' * 500_000),
    "many_usages": _answer(body=b'"usage":{' * 1_000_000),
    "nan": _answer(body=b'{"choices": [{"message": {"content": "yes"}}], "usage": {"total_tokens": NaN}}'),
    "deep": _answer(body=b"[" * 1_000_000),
    "long_number": _answer(body=b'{"usage": {"total_tokens": ' + b"9" * 1_000_000 + b"}}"),
    "long_text": _text(b"x" * (16 << 20)),
    "empty": _answer(body=b""),
    "null": _answer(body=b"null"),
    "a_list": _answer(body=b"[[]]"),
    "page": _answer("502 Bad", body=b"<html>" + b"<p>" * 10_000),
    "cut": _answer()[:-5],
    "nothing": b"",
    "not_http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "redirect": _answer("302 Found", head=b"location: http://127.0.0.1:1/\r\n", body=b""),
    "two_lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 9\r\n\r\n{}",
    "more_than_said": _answer() + _answer(),
    "token_echoed": _answer("401 No", body=b'{"message": "dapi-0123456789 is no token"}'),
}
"""What one row is answered with, by name: bytes, after which the connection is closed, or pieces of them."""


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            asked = _ASKED.search(await reader.readexactly(length))
            await asyncio.sleep(LATENCY_S)
            if asked is None:
                writer.write(_answer())
                await writer.drain()
                continue
            answer = HOSTILE[asked[1].decode()]
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                async for piece in answer():
                    writer.write(piece)
                    await writer.drain()
            await writer.drain()
            break
    writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_main())
