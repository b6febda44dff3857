from __future__ import annotations

import base64
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway_batch.devgateway import RunningGateway

from .conftest import TOKEN, Post, Rows

CHAT = "mlflow/v1/chat/completions"
ASK: dict[str, Any] = {"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "Name a lake."}]}
MESSAGES = {"model": "databricks-gpt-5-4", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
TAGS = "databricks_ai_gateway_request_tags"
GEMINI = "gemini/v1/models/databricks-gemini-2-5-pro:generateContent"
VECTORS = "gemini/v1beta/models/databricks-gte-large-en"
EMBED = {"content": {"parts": [{"text": "x"}]}}
TOOL = {"type": "function", "function": {"name": "lake"}}
ALLOWED = {"mode": "required", "tools": [TOOL, {"type": "function", "function": {"name": "sea"}}]}
FUNCTION = {"model": "databricks-gpt-5-4", "input": "x", "tools": [{"type": "function", "name": "lake"}]}
CLAUDES = {**MESSAGES, "tools": [{"name": "lake", "input_schema": {"type": "object"}}]}


def with_schema(schema: Any) -> dict[str, Any]:
    """A tool of chat completions."""
    return {"type": "function", "function": {"name": "lake", "parameters": schema}}


def googles(mode: str, *names: str, allowed: list[str] | None = None) -> dict[str, Any]:
    """A request for Gemini with functions, and what it says of calling them."""
    config = {"mode": mode, "allowedFunctionNames": allowed or []}
    body = {"contents": [{"parts": [{"text": "x"}]}], "toolConfig": {"functionCallingConfig": config}}
    return {**body, "tools": [{"functionDeclarations": [{"name": name} for name in names]}]}


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("credential", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("token", TOKEN)])
def test_both_forms_of_the_token_are_let_in(post: Post, credential: str) -> None:
    assert post(CHAT, ASK, authorization=credential).status_code == 200


@pytest.mark.parametrize(
    "credential",
    ["", "Bearer", "Bearer wrong", basic("token", "wrong"), basic("dev", TOKEN), "Basic ???", TOKEN],
)
def test_other_credentials_are_refused(post: Post, credential: str, rows: Rows) -> None:
    event_id = uuid4().hex
    answer = post(CHAT, ASK, authorization=credential, x_client_request_id=event_id)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "UNAUTHENTICATED"
    (row,) = rows(event_id)
    assert (row["status_code"], row["requester"], row["auth_mode"], row["input_tokens"]) == (401, None, None, None)


def test_the_sdks_dummy_keys_let_nobody_in(post: Post) -> None:
    keys = {"x_api_key": TOKEN, "x_goog_api_key": TOKEN, "authorization": ""}
    assert post("anthropic/v1/messages", MESSAGES, **keys).status_code == 401


@pytest.mark.parametrize("route", ["mlflow/v1/models", "anthropic/v1/models", "gemini/v1beta/models"])
def test_listings_need_the_token(gateway: RunningGateway, http: httpx.Client, route: str) -> None:
    for path in (route, f"{route}/databricks-gpt-5-4"):
        answer = http.get(f"/ai-gateway/{path}")
        assert (answer.status_code, "error" in answer.json()) == (401, True)


def test_without_a_token_of_its_own_it_takes_any_credential_or_none(open_gateway: RunningGateway) -> None:
    with httpx.Client(base_url=open_gateway.host, trust_env=False) as client:
        for headers in ({}, {"authorization": "Bearer anything"}):
            assert client.post(f"/ai-gateway/{CHAT}", json=ASK, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("route", "body"),
    [
        (CHAT, ASK),
        ("mlflow/v1/embeddings", {"input": "x"}),
        ("mlflow/v1/responses", {"input": "x"}),
        ("openai/v1/responses", {"input": "x"}),
        ("anthropic/v1/messages", MESSAGES),
        ("anthropic/v1/messages/count_tokens", MESSAGES),
        ("../serving-endpoints/chat/completions", ASK),
    ],
)
@pytest.mark.parametrize("name", ["no-such", "gpt-5-4", "main.default.none", "databricks-none"])
def test_unknown_models_are_not_found(post: Post, route: str, body: dict[str, Any], name: str) -> None:
    answer = post(route, {**body, "model": name})
    assert answer.status_code == 404
    assert answer.json()["error_code"] == "ENDPOINT_NOT_FOUND"
    assert name in answer.json()["message"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("method", ["generateContent", "countTokens", "embedContent", "batchEmbedContents"])
def test_an_unknown_model_in_a_gemini_path_is_not_found(post: Post, method: str) -> None:
    answer = post(f"gemini/v1/models/no-such:{method}", {"contents": [{"parts": [{"text": "x"}]}]})
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("route", "model", "needs"),
    [
        (CHAT, "databricks-gte-large-en", "chat"),
        ("mlflow/v1/embeddings", "databricks-gpt-5-4", "embeddings"),
    ],
)
def test_a_model_of_the_other_kind_is_refused_by_name(post: Post, route: str, model: str, needs: str) -> None:
    answer = post(route, {**ASK, "input": "x", "model": model})
    assert answer.status_code == 400
    assert model in answer.json()["message"]
    assert f"needs one for {needs}" in answer.json()["message"]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("", "is not JSON"),
        ("project=chatbot", "is not JSON"),
        ('{"project": "chatbot"', "is not JSON"),
        ('["project"]', "not an array"),
        ('"project"', "not a string"),
        ("null", "not null"),
        ("7", "not a number"),
        ('{"project": 7}', "'project' must be a string, not a number"),
        ('{"project": null}', "'project' must be a string, not null"),
        ('{"project": true}', "'project' must be a string, not a boolean"),
        ('{"project": {"a": "b"}}', "'project' must be a string, not an object"),
        ('{"project": ["a"]}', "'project' must be a string, not an array"),
    ],
)
def test_malformed_tags_are_refused_with_the_fault(post: Post, rows: Rows, header: str, fault: str) -> None:
    event_id = uuid4().hex
    answer = post(CHAT, ASK, **{TAGS: header, "x_client_request_id": event_id})
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert fault in answer.json()["message"]
    assert [(row["status_code"], row["request_tags"]) for row in rows(event_id)] == [(400, "{}")]


def test_an_empty_object_of_tags_is_fine(post: Post) -> None:
    assert post(CHAT, ASK, **{TAGS: "{}"}).status_code == 200


@pytest.mark.parametrize(
    ("route", "body", "named"),
    [
        (CHAT, b"{", "not JSON"),
        (CHAT, b"[1]", "JSON object"),
        (CHAT, {"messages": ASK["messages"]}, "'model'"),
        (CHAT, {"model": "databricks-gpt-5-4"}, "'messages'"),
        (CHAT, {**ASK, "messages": []}, "'messages'"),
        (CHAT, {**ASK, "messages": ["x"]}, "'messages'"),
        (CHAT, {**ASK, "messages": [{"role": "robot", "content": "x"}]}, "'robot'"),
        (CHAT, {**ASK, "messages": [{"role": "user", "content": 7}]}, "content"),
        (CHAT, {**ASK, "messages": [{"role": ["user"], "content": "x"}]}, "no role"),
        (CHAT, {**ASK, "max_tokens": 0}, "'max_tokens'"),
        (CHAT, {**ASK, "temperature": 3}, "'temperature'"),
        (CHAT, {**ASK, "stream": "yes"}, "'stream'"),
        (CHAT, {**ASK, "stream_options": 7}, "stream_options"),
        (CHAT, {**ASK, "stop": 7}, "stop"),
        (CHAT, {**ASK, "n": 2}, "'n'"),
        (CHAT, {**ASK, "store": True}, "store"),
        (
            CHAT,
            {**ASK, "tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            "tools[].function.strict",
        ),
        (CHAT, {**ASK, "response_format": {"type": "xml"}}, "response_format"),
        (CHAT, {**ASK, "response_format": {"type": "json_schema"}}, "json_schema"),
        (CHAT, {**ASK, "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "schema"),
        (
            CHAT,
            {**ASK, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "x"}}}},
            "not a valid JSON schema",
        ),
        (CHAT, b'{"model": "databricks-gpt-5-4", "messages": [{"role": "user", "content": "\\ud800"}]}', "not JSON"),
        ("mlflow/v1/embeddings", {"model": "databricks-gte-large-en"}, "'input'"),
        ("mlflow/v1/embeddings", {"model": "databricks-gte-large-en", "input": [1, "a"]}, "'input'"),
        ("mlflow/v1/embeddings", {"model": "databricks-gte-large-en", "input": [-1]}, "'input'"),
        ("mlflow/v1/embeddings", {"model": "databricks-gte-large-en", "input": [[1], []]}, "'input'"),
        ("mlflow/v1/embeddings", {"model": "databricks-gte-large-en", "input": "x", "dimensions": 9999}, "1024"),
        ("mlflow/v1/responses", {**MESSAGES, "input": "x", "stream": True, "background": True}, "'background'"),
        ("mlflow/v1/responses", {**MESSAGES, "input": "x", "tools": [{}], "temperature": 0}, "'temperature'"),
        ("mlflow/v1/responses", {**MESSAGES, "input": "x", "tools": [{}], "top_p": 0.5}, "'top_p'"),
        ("openai/v1/responses", {"model": "databricks-gpt-5-4"}, "'input'"),
        (
            "openai/v1/responses",
            {
                "model": "databricks-gpt-5-4",
                "input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}],
            },
            "output_text",
        ),
        ("openai/v1/responses", {**MESSAGES, "input": "x", "text": {"format": {"type": "xml"}}}, "text.format"),
        ("anthropic/v1/messages", ASK, "max_tokens: Field required"),
        ("anthropic/v1/messages", {**MESSAGES, "messages": [{"role": "system", "content": "x"}]}, "'system'"),
        ("gemini/v1/models/databricks-gpt-5-4:generateContent", {}, "'contents'"),
        ("gemini/v1/models/databricks-gpt-5-4:generateContent", {"contents": [{"role": "user"}]}, "'parts'"),
        ("anthropic/v1/messages/count_tokens", {"model": "databricks-claude-sonnet-4"}, "'messages'"),
        ("gemini/v1/models/databricks-gpt-5-4:countTokens", {}, "'contents'"),
        (f"{VECTORS}:embedContent", {}, "'content'"),
        (f"{VECTORS}:batchEmbedContents", {}, "'requests'"),
        (f"{VECTORS}:batchEmbedContents", {"requests": [EMBED] * 101}, "at most 100"),
        (f"{VECTORS}:batchEmbedContents", {"requests": [{**EMBED, "model": "models/other"}]}, "'other'"),
        (f"{VECTORS}:batchEmbedContents", {"requests": [EMBED, {**EMBED, "outputDimensionality": 8}]}, "the same"),
        (f"{VECTORS}:embedContent", {**EMBED, "outputDimensionality": 9999}, "1024"),
        (CHAT, {**ASK, "tool_choice": "required"}, "only allowed when 'tools'"),
        (CHAT, {**ASK, "tools": [TOOL], "tool_choice": "lake"}, "'tool_choice'"),
        (CHAT, {**ASK, "tools": [TOOL], "tool_choice": {"type": "function", "name": "lake"}}, "'tool_choice'"),
        (CHAT, {**ASK, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sea"}}}, "'sea'"),
        (CHAT, {**ASK, "tools": [TOOL], "tool_choice": {"type": "function", "function": {}}}, "not found"),
        (
            CHAT,
            {**ASK, "tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}},
            "'sea'",
        ),
        (CHAT, {**ASK, "tools": [with_schema({"type": "x"})], "tool_choice": "required"}, "not a valid JSON schema"),
        (CHAT, {**ASK, "tools": [with_schema({"type": "string"})], "tool_choice": "required"}, "type 'object'"),
        (CHAT, {**ASK, "tools": [with_schema(7)], "tool_choice": "required"}, "must be a JSON schema"),
        ("openai/v1/responses", {**MESSAGES, "input": "x", "tool_choice": "required"}, "'tools'"),
        ("openai/v1/responses", {**FUNCTION, "tool_choice": {"type": "function", "name": "sea"}}, "'sea'"),
        ("openai/v1/responses", {**FUNCTION, "tool_choice": {"type": "web_search"}}, "'web_search'"),
        ("openai/v1/responses", {**FUNCTION, "tool_choice": "lake"}, "'tool_choice'"),
        ("anthropic/v1/messages", {**MESSAGES, "tool_choice": {"type": "any"}}, "while providing tools"),
        ("anthropic/v1/messages", {**CLAUDES, "tool_choice": {"type": "tool", "name": "sea"}}, "'sea' not found"),
        ("anthropic/v1/messages", {**CLAUDES, "tool_choice": {"type": "tool"}}, "name: Field required"),
        ("anthropic/v1/messages", {**CLAUDES, "tool_choice": "any"}, "tool_choice.type"),
        (GEMINI, googles("ANY"), "function_declarations"),
        (GEMINI, googles("SOME", "lake"), "'SOME'"),
        (GEMINI, googles("AUTO", "lake", allowed=["lake"]), "only when"),
        (GEMINI, googles("ANY", "lake", allowed=["lake", "sea"]), "'sea'"),
    ],
)
def test_bodies_that_cannot_be_meant_are_refused(post: Post, rows: Rows, route: str, body: Any, named: str) -> None:
    event_id = uuid4().hex
    answer = post(route, body, x_client_request_id=event_id)
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["message"]
    assert [row["status_code"] for row in rows(event_id)] == [400]


def test_sampling_is_fine_without_tools_and_tools_without_sampling(post: Post) -> None:
    ask = {"model": "databricks-gpt-5-4", "input": "x"}
    assert post("mlflow/v1/responses", {**ask, "temperature": 0.5}).status_code == 200
    assert post("mlflow/v1/responses", {**ask, "tools": [{"type": "function", "name": "f"}]}).status_code == 200


def test_unknown_routes_and_methods_are_refused_in_databricks_shape(
    gateway: RunningGateway, http: httpx.Client, post: Post
) -> None:
    unknown = post("mlflow/v1/nothing", {})
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    method = http.get(f"/ai-gateway/{CHAT}")
    assert (method.status_code, method.json()["error_code"]) == (405, "BAD_REQUEST")


def test_every_answer_says_that_the_models_are_stand_ins(
    gateway: RunningGateway, http: httpx.Client, post: Post
) -> None:
    answers = [http.get("/"), http.get("/nothing"), post(CHAT, ASK), post(CHAT, {})]
    assert [answer.headers["x-gateway-batch-devgateway"] for answer in answers] == ["stand-in models"] * 4
    assert "stand-ins" in answers[0].json()["notice"]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 4
    assert json.dumps(answers[2].json()).count("stand-in") > 0
