"""A chat server that costs next to nothing: chosen latencies, one answer, counters.

Run as a child: it prints `ready <port>` and serves until its standard input ends. `GET /stats` answers the counters,
`POST /reset` sets them to zero and starts the latencies anew, any other request is a completion. What is off costs
nothing: bodies are looked at only with `--inspect`, requests are limited only with `--rate`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import secrets
import sys
import time
from itertools import cycle
from typing import Any, cast

import httptools
import uvloop

from benchmarks.bucket import TokenBucket
from benchmarks.latency import Latency

_TEXT = "We are sorry about the shade and refund you 12 euros. " * 4
_CHAT = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1,
        "model": "bench-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": _TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 48, "total_tokens": 138},
    }
).encode()
_REASONS = {200: b"OK", 400: b"Bad Request", 429: b"Too Many Requests"}
_SERVER = b"server: benchmarks"
_SLOW_DOWN = b'{"error": {"message": "slow down"}}'
_REFUSED = b'{"error": {"message": "this prompt is refused"}}'
REFUSED_TEXT = b"REFUSE THIS"
"""With `--inspect`, a body that holds it is answered 400."""


class Counters:
    """What has been served since the last reset.

    Args:
        bucket: limits requests; None: no limit.
    """

    def __init__(self, waits_s: list[float], bucket: TokenBucket | None) -> None:
        self.bucket = bucket
        self._waits_s = waits_s
        self.reset()

    def reset(self) -> None:
        """Sets them to zero; the latencies start anew."""
        self.requests = self.in_flight = self.most_in_flight = 0
        self.distinct: set[int] = set()
        self.waits_s = cycle(self._waits_s)
        if self.bucket is not None:
            self.bucket.reset()
        self._cpu_at_reset = time.process_time()

    def as_json(self) -> bytes:
        """The body of `GET /stats`."""
        stats = {
            "requests": self.requests,
            "most_in_flight": self.most_in_flight,
            "cpu_s": time.process_time() - self._cpu_at_reset,
            "distinct": len(self.distinct),
            "passed": self.bucket.passed if self.bucket else [],
            "refused": self.bucket.refused if self.bucket else [],
        }
        return json.dumps(stats).encode()


def reply(status: int, header: bytes, body: bytes) -> tuple[bytes, bytes]:
    """A reply before and after the place at the end of `header` where a number may be put."""
    head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n%b" % (status, _REASONS[status], header)
    return head, b"\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Connection(asyncio.Protocol):
    """One keep-alive connection. Bodies are not looked at.

    Args:
        loop: that it runs on.
        counters: of the server.
        id_header: up to the number of a request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters, id_header: bytes) -> None:
        self._loop = loop
        self._counters = counters
        self._id_header = id_header
        self._completion = reply(200, id_header, _CHAT)
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
            return self._write(reply(200, _SERVER, counters.as_json()))
        if self._url == b"/reset":
            counters.reset()
            return self._write(reply(200, _SERVER, b"{}"))
        counters.requests += 1
        if counters.bucket is not None and (wait_s := counters.bucket.take(self._loop.time())):
            return self._write(reply(429, b"retry-after: %d" % wait_s, _SLOW_DOWN))
        counters.in_flight += 1
        counters.most_in_flight = max(counters.most_in_flight, counters.in_flight)
        self._loop.call_later(next(counters.waits_s), self._answer, self._choose(), counters.requests)

    def _choose(self) -> tuple[bytes, bytes]:
        return self._completion

    def _answer(self, parts: tuple[bytes, bytes], number: int) -> None:
        self._counters.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(b"%b%010d%b" % (parts[0], number, parts[1]))

    def _write(self, parts: tuple[bytes, bytes]) -> None:
        self._transport.write(b"".join(parts))


class InspectedConnection(Connection):
    """Looks at bodies: counts the distinct ones, refuses some, and answers OpenAI's Responses API too."""

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counters, id_header: bytes) -> None:
        super().__init__(loop, counters, id_header)
        self._parts: list[bytes] = []

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        self._parts = []

    def on_body(self, part: bytes) -> None:
        """httptools: a part of the body."""
        self._parts.append(part)

    def _choose(self) -> tuple[bytes, bytes]:
        body = b"".join(self._parts)
        self._counters.distinct.add(hash(body))
        if REFUSED_TEXT in body:
            return reply(400, self._id_header, _REFUSED)
        if self._url.endswith(b"/responses"):
            return reply(200, self._id_header, json.dumps(answer_responses(json.loads(body))).encode())
        return super()._choose()


def answer_responses(request: dict[str, Any]) -> dict[str, Any]:
    """An answer of the Responses API; where a pack of prompts came as JSON (openaivec), one for each of them."""
    text = _TEXT
    if isinstance(request["input"], str) and request.get("text", {}).get("format", {}).get("type") == "json_schema":
        packed = json.loads(request["input"])["user_messages"]
        text = json.dumps({"assistant_messages": [{"id": one["id"], "body": _TEXT} for one in packed]})
    return {
        "id": "resp-0",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "bench-model",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "output": [
            {
                "type": "message",
                "id": "msg-0",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        "usage": {
            "input_tokens": 90,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 48,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 138,
        },
    }


async def serve(port: int, latency: Latency, bucket: TokenBucket | None, inspect: bool) -> None:
    """Serves on loopback until standard input ends."""
    loop, id_header = asyncio.get_running_loop(), b"x-request-id: %b-" % secrets.token_hex(4).encode()
    counters, kind = Counters(latency.waits_s(), bucket), InspectedConnection if inspect else Connection
    server = await loop.create_server(lambda: kind(loop, counters, id_header), "127.0.0.1", port)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--median-ms", type=float, default=50.0, help="latency; all the same where sigma is 0")
    parser.add_argument("--sigma", type=float, default=0.0, help="of a lognormal distribution of latencies")
    parser.add_argument("--cap-ms", type=float, default=math.inf, help="the longest latency")
    parser.add_argument("--seed", type=int, default=1, help="of the latencies' order")
    parser.add_argument("--rate", type=float, help="requests a second; over it: 429 and Retry-After")
    parser.add_argument("--burst-s", type=float, default=1.0, help="seconds of the rate that may come at once")
    parser.add_argument("--inspect", action="store_true", help="look at bodies")
    options = parser.parse_args()
    latency = Latency(options.median_ms, options.sigma, options.cap_ms, options.seed)
    bucket = None if options.rate is None else TokenBucket(options.rate, options.rate * options.burst_s)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, latency, bucket, options.inspect))


if __name__ == "__main__":
    main()
