"""A server of any API that answers with its prompt, so that answers can be given in full, and keeps what it got."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODIES: list[dict[str, Any]] = []
WRITTEN: list[str] = []
TAGS: list[dict[str, str]] = []
HEADERS: list[dict[str, str]] = []
"""What the server has got, as it was written, its request tags, and all its headers, named in lower case.

Clear before a test.
"""

TAGS_HEADER = "databricks-ai-gateway-request-tags"


class _Echo(BaseHTTPRequestHandler):
    """A server of any API that answers with its prompt, and keeps what it got.

    Under `/raw` the prompt, or a record's `body`, is the whole body of the answer; under `/hash` the answer is the
    prompt's MD5, as Spark's md5 has it.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        written = self.rfile.read(int(self.headers["content-length"])).decode()
        body = json.loads(written)
        BODIES.append(body)
        WRITTEN.append(written)
        HEADERS.append({name.lower(): value for name, value in self.headers.items()})
        TAGS.append(json.loads(self.headers.get(TAGS_HEADER, "{}")))
        prompt = _prompt(body)
        raw = self.path.startswith("/raw")
        if self.path.startswith("/hash"):
            prompt = hashlib.md5(prompt.encode()).hexdigest()
        wants_logprobs = bool(body.get("logprobs"))
        answer = (_raw(prompt) if raw else json.dumps(_answer(self.path, prompt, wants_logprobs))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _prompt(body: dict[str, Any]) -> Any:
    """The text of a chat, an embedding's text or texts, a custom model's record."""
    match body:
        case {"messages": [*_, {"content": content}]} | {"input": [{"content": content}]}:
            pass
        case {"contents": [{"parts": content}]} | {"input": content} | {"dataframe_records": [content]}:
            pass
    if isinstance(content, list) and isinstance(content[0], dict):
        return next(part["text"] for part in content if "text" in part)
    return content


def _raw(prompt: Any) -> str:
    """The text, the first of several texts, or a record's."""
    text: str = prompt["body"] if isinstance(prompt, dict) else prompt if isinstance(prompt, str) else prompt[0]
    return text


def _answer(path: str, prompt: Any, wants_logprobs: bool) -> dict[str, Any]:
    match path.rpartition("/")[2]:
        case "responses":
            return {"output": [{"type": "message", "content": [{"type": "output_text", "text": prompt}]}]}
        case "messages":
            return {"content": [{"type": "text", "text": prompt}], "stop_reason": "end_turn"}
        case "embeddings":  # the text is the vector
            texts = [prompt] if isinstance(prompt, str) else prompt
            return {"data": [{"index": place, "embedding": json.loads(text)} for place, text in enumerate(texts)]}
        case "invocations":
            return {"predictions": [prompt]}
        case "completions":
            logprobs = {"content": [{"token": letter, "logprob": math.log(0.9)} for letter in prompt]}
            return {"choices": [{"message": {"content": prompt}, "logprobs": logprobs if wants_logprobs else None}]}
    return {"candidates": [{"content": {"parts": [{"text": prompt}]}, "finishReason": "STOP"}]}


@contextlib.contextmanager
def echo_server_running() -> Iterator[str]:
    """Its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
