"""Every REST example of the page on querying model services, sent by curl with `-u token:...`."""

from __future__ import annotations

import json
import subprocess
from typing import Any
from uuid import uuid4

import pytest

from gateway_batch.devgateway import RunningGateway

from .conftest import TOKEN, Rows

MODEL = "main.default.support"
MESSAGES = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hi, what can I do?"},
    {"role": "user", "content": "Name a lake."},
]
PARTS = [
    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Hi, what can I do?"}]},
    {"role": "user", "content": [{"type": "input_text", "text": "Name a lake."}]},
]
CONTENTS = [
    {"role": "user", "parts": [{"text": "Hi"}]},
    {"role": "model", "parts": [{"text": "Hi, what can I do?"}]},
    {"role": "user", "parts": [{"text": "Name a lake."}]},
]
LAKE = "This is a stand-in's answer about name lake."


def curl(gateway: RunningGateway, route: str, body: object, *more: str) -> str:
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "-u", f"token:{TOKEN}", "-X", "POST"]
    command += ["-H", "Content-Type: application/json", "-d", json.dumps(body), *more]
    command += [f"{gateway.host}/ai-gateway/{route}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def test_chat_completions(gateway: RunningGateway) -> None:
    answer = json.loads(
        curl(
            gateway,
            "mlflow/v1/chat/completions",
            {"model": MODEL, "max_tokens": 256, "messages": MESSAGES},
        )
    )
    assert answer["choices"][0]["message"]["content"] == LAKE


def test_embeddings(gateway: RunningGateway) -> None:
    body = {"model": "databricks-gte-large-en", "input": "Name a lake."}
    answer = json.loads(curl(gateway, "mlflow/v1/embeddings", body))
    assert len(answer["data"][0]["embedding"]) == 1024


def test_supervisor_api(gateway: RunningGateway) -> None:
    body = {"model": MODEL, "input": [{"role": "user", "content": "Name a lake."}]}
    answer = json.loads(curl(gateway, "mlflow/v1/responses", body))
    assert answer["output"][0]["content"][0]["text"] == LAKE


def test_openai_responses(gateway: RunningGateway) -> None:
    body = {"model": MODEL, "max_output_tokens": 256, "input": PARTS}
    answer = json.loads(curl(gateway, "openai/v1/responses", body))
    assert answer["output"][0]["content"][0]["text"] == LAKE


def test_anthropic_messages_without_a_version_header(gateway: RunningGateway) -> None:
    body = {"model": MODEL, "max_tokens": 256, "messages": MESSAGES}
    answer = json.loads(curl(gateway, "anthropic/v1/messages", body))
    assert answer["content"][0]["text"] == LAKE


def test_gemini(gateway: RunningGateway) -> None:
    body = {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 256}}
    answer = json.loads(curl(gateway, f"gemini/v1beta/models/{MODEL}:generateContent", body))
    assert answer["candidates"][0]["content"]["parts"][0]["text"] == LAKE


@pytest.mark.parametrize("query", ["", "?alt=sse"], ids=["an array", "events"])
def test_gemini_stream(gateway: RunningGateway, query: str) -> None:
    text = curl(gateway, f"gemini/v1beta/models/{MODEL}:streamGenerateContent{query}", {"contents": CONTENTS})
    chunks: list[Any] = (
        [json.loads(event.removeprefix("data: ")) for event in text.strip().split("\n\n")]
        if query
        else json.loads(text)
    )
    assert len(chunks) > 1
    assert "".join(chunk["candidates"][0]["content"]["parts"][0]["text"] for chunk in chunks) == LAKE


def test_request_tags(gateway: RunningGateway, rows: Rows) -> None:
    event_id = uuid4().hex
    tags = 'Databricks-Ai-Gateway-Request-Tags: {"project": "chatbot", "team": "ml-platform"}'
    body = {"model": MODEL, "max_tokens": 256, "messages": [{"role": "user", "content": "Name a lake."}]}
    curl(gateway, "mlflow/v1/chat/completions", body, "-H", tags, "-H", f"X-Client-Request-Id: {event_id}")
    (row,) = rows(event_id)
    assert json.loads(row["request_tags"]) == {"project": "chatbot", "team": "ml-platform"}
    assert row["service_name"] == MODEL
    assert row["user_agent"].startswith("curl/")
