"""One Spark session and one gateway process for the whole folder; each test has a ledger of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pyspark.sql import DataFrame, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running

TOKEN = "spark-tests-token"
TAGS_HEADER = "databricks-ai-gateway-request-tags"
MODEL = "databricks-gpt-5-4"
AS_STARTED: dict[str, Any] = {"latency_ms": None, "rpm": None, "tpm": None, "faults": []}

Register = Callable[..., gb.Gateway]
Count = Callable[[Callable[[], object]], int]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    settings = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"}
    session = gb.local_session(warehouse=warehouse, master="local[2,4]", settings=settings)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    ledger = tmp_path_factory.mktemp("gateway") / "ledger.sqlite"
    with running(Settings(port=0, token=TOKEN, ledger=ledger)) as server:
        yield server


@pytest.fixture
def server(shared_server: RunningGateway) -> Iterator[RunningGateway]:
    shared_server.configure(**AS_STARTED)
    shared_server.reset()
    yield shared_server
    shared_server.configure(**AS_STARTED)


@pytest.fixture
def register(spark: SparkSession, server: RunningGateway, tmp_path: Path) -> Iterator[Register]:
    """Registers `ai_query` with a spool and a usage table of the test's own."""
    opened: list[gb.Gateway] = []

    def register_with(name: str = "ai_query", **settings: Any) -> gb.Gateway:
        own = {"spool_dir": str(tmp_path / "spool"), "usage_table": f"t_{abs(hash(str(tmp_path))):x}.usage"}
        opened.append(gb.register_ai_query(spark, _config(server, **{**own, **settings}), name))
        return opened[-1]

    yield register_with
    for gateway in opened:
        gateway.close()


@pytest.fixture
def gateway(register: Register) -> gb.Gateway:
    """A registration whose ledger is the test's own."""
    return register()


@pytest.fixture(scope="module")
def registered(
    spark: SparkSession, shared_server: RunningGateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gb.Gateway]:
    """One registration for a module's tests that don't look at the ledger."""
    own = {"spool_dir": str(tmp_path_factory.mktemp("spool")), "usage_table": "shared.usage"}
    with gb.register_ai_query(spark, _config(shared_server, **own)) as gateway:
        yield gateway


def _config(server: RunningGateway, **settings: Any) -> gb.GatewayConfig:
    return gb.GatewayConfig.from_env(**{"host": server.host, "token": TOKEN, "flush_interval": 0, **settings})


@pytest.fixture
def requests(server: RunningGateway) -> Count:
    """How many requests reach the gateway while an action runs."""

    def count(action: Callable[[], object]) -> int:
        server.reset()
        action()
        return int(server.stats()["requests"])

    return count


@pytest.fixture
def texts(spark: SparkSession) -> Iterator[DataFrame]:
    """A view `my_table` of 40 different texts in 4 partitions: `id`, `text_column`."""
    frame = spark.range(0, 40, 1, 4).selectExpr(
        "id", "concat('Lake ', id, ' is a deep and quiet lake.') AS text_column"
    )
    frame.createOrReplaceTempView("my_table")
    yield frame
    spark.catalog.dropTempView("my_table")


class _Echo(BaseHTTPRequestHandler):
    """A server of any API that answers with its prompt, and keeps what it got.

    Under `/raw` the prompt, or a record's `body`, is the whole body of the answer.
    """

    bodies: ClassVar[list[dict[str, Any]]] = []
    tags: ClassVar[list[dict[str, str]]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.bodies.append(body)
        self.tags.append(json.loads(self.headers.get(TAGS_HEADER, "{}")))
        prompt = _prompt(body)
        raw = self.path.startswith("/raw")
        answer = (_raw(prompt) if raw else json.dumps(_answer(self.path, prompt))).encode()
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


def _answer(path: str, prompt: Any) -> dict[str, Any]:
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
            return {"choices": [{"message": {"content": prompt}}]}
    return {"candidates": [{"content": {"parts": [{"text": prompt}]}, "finishReason": "STOP"}]}


@pytest.fixture(scope="session")
def echo_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture
def echoed() -> list[dict[str, Any]]:
    """The bodies that the echo server gets during the test."""
    _Echo.bodies.clear()
    return _Echo.bodies


@pytest.fixture
def echoed_tags() -> list[dict[str, str]]:
    """The request tags that the echo server gets during the test, a dict of each request."""
    _Echo.tags.clear()
    return _Echo.tags
