"""One gateway process for the whole folder, the official SDKs pointed at it, and its ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from gateway_batch.devgateway import RunningGateway, ServiceSettings, Settings, running

TOKEN = "dev-token"
AS_STARTED: dict[str, Any] = {"latency_ms": None, "stream_pause_ms": None, "rpm": None, "tpm": None, "faults": []}

Row = dict[str, Any]
Post = Callable[..., httpx.Response]
Rows = Callable[[str | None], list[Row]]


@pytest.fixture(scope="session")
def shared_gateway() -> Iterator[RunningGateway]:
    services = {"main.default.slow": ServiceSettings(latency_ms=300, model="gpt-5-4")}
    with running(Settings(port=0, token=TOKEN, services=services)) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> Iterator[RunningGateway]:
    shared_gateway.reset()
    yield shared_gateway
    shared_gateway.configure(**AS_STARTED)
    shared_gateway.configure(service="databricks-gpt-5-5", **AS_STARTED)


@pytest.fixture(scope="session")
def open_gateway() -> Iterator[RunningGateway]:
    """Another one, without a token."""
    with running(Settings(port=0)) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def http(shared_gateway: RunningGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared_gateway.host, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def post(gateway: RunningGateway, http: httpx.Client) -> Post:
    """Posts a body under `/ai-gateway` with the right token, unless headers say otherwise."""

    def send(route: str, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", **named}
        return http.post(f"/ai-gateway/{route}", content=content, headers=sent)

    return send


@pytest.fixture
def rows(gateway: RunningGateway) -> Rows:
    """The ledger's rows with a client request id, or all of them."""

    def read(client_request_id: str | None = None) -> list[Row]:
        with closing(sqlite3.connect(gateway.ledger)) as ledger:
            ledger.row_factory = sqlite3.Row
            found = ledger.execute("SELECT * FROM usage").fetchall()
        return [dict(row) for row in found if client_request_id in (None, row["client_request_id"])]

    return read


@pytest.fixture(scope="session")
def unified(shared_gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=TOKEN, base_url=f"{shared_gateway.host}/ai-gateway/mlflow/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def native(shared_gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=TOKEN, base_url=f"{shared_gateway.host}/ai-gateway/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def claude(shared_gateway: RunningGateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        api_key="unused",
        base_url=f"{shared_gateway.host}/ai-gateway/anthropic",
        default_headers={"Authorization": f"Bearer {TOKEN}"},
        max_retries=0,
    ) as client:
        yield client


def _gemini(gateway: RunningGateway, version: str | None) -> genai.Client:
    options = types.HttpOptions(
        base_url=f"{gateway.host}/ai-gateway/gemini",
        headers={"Authorization": f"Bearer {TOKEN}"},
        api_version=version,
    )
    return genai.Client(api_key="databricks", http_options=options)


@pytest.fixture(scope="session", params=[None, "v1beta"], ids=["default version", "v1beta"])
def gemini(request: pytest.FixtureRequest, shared_gateway: RunningGateway) -> Iterator[genai.Client]:
    client = _gemini(shared_gateway, request.param)
    yield client
    client.close()
