"""A Redis that refuses, and what listens in its place and is none."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gateway_batch.transport.redis_connection import connect
from tests.redis_server import RedisServer


@contextmanager
def refusing(server: RedisServer, refusal: str, key: str) -> Iterator[str]:
    """Makes a server refuse, or puts something else in its place; gives the URL to ask.

    Args:
        server: one that runs; with the password `very-secret` for `wrong password`.
        refusal: how.
        key: that has a value of another type, for `another type`.
    """
    match refusal:
        case "read-only":
            _command(server.url, "REPLICAOF", "127.0.0.1", "1")
        case "full":
            _command(server.url, "CONFIG", "SET", "maxmemory", "1")
        case "another type":
            _command(server.url, "RPUSH", key, "one")
        case "not Redis":
            server.kill()
            with nonsense_running(server.port):
                yield server.url
            return
    yield server.url.replace("very-secret", "wrong-secret")


def _command(url: str, *words: str) -> None:
    async def send() -> None:
        client = connect(url)
        await client.execute_command(*words)  # type: ignore[no-untyped-call]
        await client.aclose()

    asyncio.run(send())


class _Nonsense(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(1000):
            self.request.sendall(b":no number\r\n")


@contextmanager
def nonsense_running(port: int) -> Iterator[None]:
    """Something on a port that answers whatever it is asked with what is no answer of Redis."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Nonsense) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield
        listening.shutdown()
        thread.join()
