from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway_batch.apis import API_TYPES, api_for
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.errors import ConfigError
from gateway_batch.types import Service

HOST = "https://dbc-1.cloud.databricks.com"


def service(endpoint: str, api: str | None = None, **endpoints: dict[str, Any]) -> Service:
    config = GatewayConfig.from_env(host=HOST, token="dapi-host", endpoints=endpoints)
    return resolve_service(config, endpoint, api)


def test_a_bare_name_is_a_chat_service_of_the_host() -> None:
    assert service("databricks-gpt-5-4") == Service(
        endpoint="databricks-gpt-5-4",
        api="mlflow/v1/chat/completions",
        url=f"{HOST}/ai-gateway/mlflow/v1/chat/completions",
        model="databricks-gpt-5-4",
        credential="value:token",
    )


def test_a_three_part_name_is_sent_as_it_is_written() -> None:
    assert service("system.ai.gpt-5-5").model == "system.ai.gpt-5-5"
    assert service("main.ai.support").url == f"{HOST}/ai-gateway/mlflow/v1/chat/completions"


@pytest.mark.parametrize(
    "name",
    [
        "databricks-gte-large-en",
        "databricks-bge-large-en",
        "system.ai.gte-large-en",
        "databricks-qwen3-embedding-0-6b",
        "text-embedding-3-small",
        "nomic-embed-text",
        "mxbai-embed-large:latest",
        "intfloat/e5-large-v2",
        "all-minilm:l6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
    ],
)
def test_an_embedding_service_is_known_by_its_name(name: str) -> None:
    assert service(name).api == "mlflow/v1/embeddings"
    assert service(name).url == f"{HOST}/ai-gateway/mlflow/v1/embeddings"


@pytest.mark.parametrize(
    "name",
    [
        "databricks-claude-sonnet-4",
        "databricks-gpt-oss-20b",
        "databricks-gemini-2-5-flash",
        "phi-e50",
        "badge-1",
        "embers",
    ],
)
def test_a_chat_service_is_not_taken_for_an_embedding_service(name: str) -> None:
    assert service(name).api == "mlflow/v1/chat/completions"


@pytest.mark.parametrize(
    "name",
    ["databricks-gpt-5-1-codex-max", "system.ai.gpt-5-3-codex", "codex-mini-latest", "o3-pro", "databricks-gpt-5-pro",
     "gpt-5.2-pro-2025-12-11", "o4-mini-deep-research", "computer-use-preview"],
)  # fmt: skip
def test_a_service_that_speaks_only_responses_is_known_by_its_name(name: str) -> None:
    at_openai = {"base_url": "https://api.openai.com/v1", "model": name}
    elsewhere = {"base_url": "http://127.0.0.1:4000/v1", "model": name}  # which may translate, as LiteLLM does
    assert service(name).url == f"{HOST}/ai-gateway/openai/v1/responses"
    assert service("x", x=at_openai).url == "https://api.openai.com/v1/responses"
    assert service("x", x=elsewhere).api == "mlflow/v1/chat/completions"
    assert service("x", x={**at_openai, "api": "openai/v1/chat/completions"}).api == "openai/v1/chat/completions"


@pytest.mark.parametrize(
    "name", ["databricks-gemini-2-5-pro", "gpt-5", "o3", "codexample-7b", "gpt-pro", "my-o3-prompt"]
)
def test_another_is_asked_by_chat_completions(name: str) -> None:
    assert service(name).api == "mlflow/v1/chat/completions"


def test_the_model_decides_and_not_the_endpoint_name() -> None:
    assert service("vectors", vectors={"model": "databricks-bge-large-en"}).api == "mlflow/v1/embeddings"


def test_an_endpoint_of_the_configuration_has_its_own_url_model_api_and_token() -> None:
    local = {
        "base_url": "http://127.0.0.1:11434/v1/",
        "model": "llama3.2",
        "api": "openai/v1/chat/completions",
        "token": "env:LOCAL",
    }
    assert service("local", local=local) == Service(
        endpoint="local",
        api="openai/v1/chat/completions",
        url="http://127.0.0.1:11434/v1/chat/completions",
        model="llama3.2",
        credential="env:LOCAL",
    )


def test_the_token_of_the_host_is_not_sent_elsewhere() -> None:
    assert service("local", local={"base_url": "http://elsewhere/v1"}).credential is None


def test_an_endpoint_without_url_is_a_service_of_the_host_with_the_host_token() -> None:
    short = service("short", short={"model": "main.ai.a-very-long-name"})
    assert short.url == f"{HOST}/ai-gateway/mlflow/v1/chat/completions"
    assert (short.endpoint, short.model, short.credential) == (
        "short",
        "main.ai.a-very-long-name",
        "value:token",
    )


def test_an_endpoint_of_the_host_may_have_a_token_of_its_own() -> None:
    assert service("short", short={"token": "dapi-own"}).credential == "value:endpoints.short.token"


def test_the_api_of_the_call_comes_before_the_one_of_the_endpoint() -> None:
    chat = {"api": "mlflow/v1/chat/completions"}
    asked = service("x", api="openai/v1/embeddings", x=chat)
    assert (asked.api, asked.url) == ("openai/v1/embeddings", f"{HOST}/ai-gateway/openai/v1/embeddings")


URLS = {
    "mlflow/v1/chat/completions": ("/ai-gateway/mlflow/v1/chat/completions", "/chat/completions"),
    "openai/v1/chat/completions": ("/ai-gateway/openai/v1/chat/completions", "/chat/completions"),
    "mlflow/v1/responses": ("/ai-gateway/mlflow/v1/responses", "/responses"),
    "openai/v1/responses": ("/ai-gateway/openai/v1/responses", "/responses"),
    "anthropic/v1/messages": ("/ai-gateway/anthropic/v1/messages", "/messages"),
    "gemini/v1/generateContent": (
        "/ai-gateway/gemini/v1beta/models/main.ai.m%2F1:generateContent",
        "/models/main.ai.m%2F1:generateContent",
    ),
    "mlflow/v1/embeddings": ("/ai-gateway/mlflow/v1/embeddings", "/embeddings"),
    "openai/v1/embeddings": ("/ai-gateway/openai/v1/embeddings", "/embeddings"),
    "mlflow/v1/invocations": ("/serving-endpoints/main.ai.m%2F1/invocations", "/invocations"),
}


@pytest.mark.parametrize("api", API_TYPES)
def test_every_api_has_a_route_of_the_host_and_of_a_base_url(api: str) -> None:
    of_host, of_base = URLS[api]
    assert service("main.ai.m/1", api=api).url == HOST + of_host
    assert service("x", api=api, x={"base_url": "http://h/v1", "model": "main.ai.m/1"}).url == f"http://h/v1{of_base}"
    assert api_for(api) is not None


def test_the_page_of_wire_formats_has_every_route() -> None:
    page = (Path(__file__).parents[2] / "docs" / "apis.md").read_text(encoding="utf-8")
    routes: dict[str, tuple[str, str]] = {}
    for row in re.findall(r"^\| `\w+/v1/.*` \|$", page.partition("## What each")[0], re.MULTILINE):
        apis, _, of_host, of_base = (re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:-1])
        routes |= {api: (of_host[0].replace("<api>", api), of_base[0]) for api in apis}
    model = "main.ai.m%2F1"
    assert {api: (a.replace("<model>", model), b.replace("<model>", model)) for api, (a, b) in routes.items()} == URLS


def test_the_servers_of_the_page_of_providers_are_entries_as_they_stand() -> None:
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
    servers = dict(re.findall(r"^\| ([^|]+) \| `(\{.*\})` \|$", page, re.MULTILINE))
    found = {
        name: resolve_service(GatewayConfig.from_env(endpoints=json.loads(entry)), "mine")
        for name, entry in servers.items()
    }
    assert len(found) >= 8
    assert found["Ollama"].url == "http://127.0.0.1:11434/v1/chat/completions"
    assert found["Anthropic"].url == "https://api.anthropic.com/v1/messages"
    assert found["Anthropic"].key_header == "x-api-key"
    google = "https://generativelanguage.googleapis.com/v1beta/models/%3Cmodel%3E:generateContent"
    assert (found["Gemini"].url, found["Gemini"].key_header) == (google, "x-goog-api-key")


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("databricks-gpt-5-4", "system.ai.gpt-5-4"),
        ("system.ai.gpt-5-4", "databricks-gpt-5-4"),
    ],
)
def test_an_entry_is_found_by_the_other_spelling_of_its_name(written: str, listed: str) -> None:
    own: dict[str, Any] = {listed: {"api": "openai/v1/responses", "token": "dapi-own"}}
    found = service(written, **own)
    assert (found.endpoint, found.model, found.api) == (written, written, "openai/v1/responses")
    assert found.credential == f"value:endpoints.{listed}.token"
    renamed: dict[str, Any] = {listed: {"model": "main.ai.mine"}}
    assert service(written, **renamed).model == "main.ai.mine"


def test_an_entry_as_written_comes_before_the_other_spelling() -> None:
    endpoints: dict[str, Any] = {"databricks-a": {"model": "short"}, "system.ai.a": {"model": "long"}}
    assert service("databricks-a", **endpoints).model == "short"
    assert service("system.ai.a", **endpoints).model == "long"


@pytest.mark.parametrize("name", ["gpt-5-4", "main.ai.gpt-5-4", "databricks-main.ai.x", "system.ai.a.b"])
def test_other_names_have_one_spelling(name: str) -> None:
    listed: dict[str, Any] = {"system.ai.gpt-5-4": {"model": "m"}, "databricks-gpt-5-4": {"model": "m"}}
    assert service(name, **listed).model == name


@pytest.mark.parametrize(
    ("base_url", "api", "header"),
    [
        ("https://api.anthropic.com/v1", "anthropic/v1/messages", "x-api-key"),
        ("https://api.anthropic.com/v1", "openai/v1/chat/completions", None),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini/v1/generateContent", "x-goog-api-key"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "openai/v1/chat/completions", None),
        ("https://gateway.example.com/anthropic/v1", "anthropic/v1/messages", None),
        (f"{HOST}/ai-gateway/gemini/v1beta", "gemini/v1/generateContent", None),
    ],
)
def test_a_vendors_own_host_takes_its_key_in_its_own_header(base_url: str, api: str, header: str | None) -> None:
    assert service("x", x={"base_url": base_url, "api": api, "token": "env:KEY"}).key_header == header


@pytest.mark.parametrize("api", API_TYPES)
def test_a_service_of_the_host_takes_bearer(api: str) -> None:
    assert service("x", api=api).key_header is None


def test_an_api_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="endpoint x: no API 'grpc/v1'; there are ") as caught:
        service("x", api="grpc/v1")
    assert str(caught.value).partition("there are ")[2].split(", ") == sorted(API_TYPES)


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "../etc", "x\n", "a'b", "x" * 768])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of an endpoint"):
        service(name)


def test_without_a_host_the_error_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="DATABRICKS_HOST") as caught:
        resolve_service(GatewayConfig.from_env(), "databricks-gpt-5-4")
    assert "'databricks-gpt-5-4'" in str(caught.value)


def test_without_a_host_an_endpoint_with_its_own_url_works() -> None:
    config = GatewayConfig.from_env(endpoints={"local": {"base_url": "http://127.0.0.1:1/v1"}})
    assert resolve_service(config, "local").url == "http://127.0.0.1:1/v1/chat/completions"
