"""A chat server that costs next to nothing: fixed latency, one answer, counters.

Run as a child: it prints `ready <port>` and serves until its standard input ends. `GET /stats` answers the counters,
`POST /reset` sets them to zero, any other request is a chat completion.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
import time
from typing import cast

import httptools
import uvloop

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": "bench-model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "We are sorry about the shade and refund you 12 euros. " * 4,
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 90, "completion_tokens": 48, "total_tokens": 138},
    }
).encode()
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_END = b"\r\ncontent-length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)


class Counters:
    """What has been served since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Sets them to zero."""
        self.requests = self.in_flight = self.most_in_flight = 0
        self._cpu_at_reset = time.process_time()

    def as_json(self) -> bytes:
        """The body of `GET /stats`."""
        cpu_s = time.process_time() - self._cpu_at_reset
        stats = {"requests": self.requests, "most_in_flight": self.most_in_flight, "cpu_s": cpu_s}
        return json.dumps(stats).encode()


class Connection(asyncio.Protocol):
    """One keep-alive connection. Bodies are not looked at."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters, latency_s: float, run: bytes) -> None:
        self._loop = loop
        self._counters = counters
        self._latency_s = latency_s
        self._head = _HEAD + b"x-request-id: " + run
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is none to isinstance

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """httptools: the request's path."""
        self._url = url

    def on_message_complete(self) -> None:
        """httptools: the request arrived whole."""
        counters = self._counters
        if self._url == b"/stats":
            return self._write(counters.as_json())
        if self._url == b"/reset":
            counters.reset()
            return self._write(b"{}")
        counters.requests += 1
        counters.in_flight += 1
        counters.most_in_flight = max(counters.most_in_flight, counters.in_flight)
        self._loop.call_later(self._latency_s, self._answer, counters.requests)

    def _answer(self, number: int) -> None:
        self._counters.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(b"%b%010d%b" % (self._head, number, _END))

    def _write(self, body: bytes) -> None:
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (_HEAD, len(body), body))


async def serve(port: int, latency_s: float) -> None:
    """Serves on loopback until standard input ends."""
    loop, counters, run = asyncio.get_running_loop(), Counters(), secrets.token_hex(4).encode() + b"-"
    server = await loop.create_server(lambda: Connection(loop, counters, latency_s, run), "127.0.0.1", port)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency-ms", type=float, default=50.0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, options.latency_ms / 1000))


if __name__ == "__main__":
    main()
