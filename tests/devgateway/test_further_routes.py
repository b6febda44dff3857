"""Routes next to the seed page's: single models, token counts, Gemini's embeddings, serving endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types

from gateway_batch.devgateway import RunningGateway

from .conftest import TOKEN, Post, Rows
from .conversation import CONTENTS, LAKE, MESSAGES, SCHEMA, TAGS, TAGS_HEADER

pytestmark = pytest.mark.usefixtures("gateway")

VECTORS = "databricks-gte-large-en"
TOOL: Any = {"name": "lake", "input_schema": SCHEMA}


@pytest.fixture
def serving(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    """As ChatDatabricks and DatabricksOpenAI are set up by default."""
    with openai.OpenAI(api_key=TOKEN, base_url=f"{gateway.host}/serving-endpoints", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", ["databricks-gpt-5-4", "databricks-claude-haiku-9", "main.default.support", VECTORS])
def test_openai_retrieves_a_model(unified: openai.OpenAI, native: openai.OpenAI, name: str) -> None:
    for client in (unified, native):
        assert client.models.retrieve(name).id == name


def test_anthropic_and_gemini_retrieve_a_model(claude: anthropic.Anthropic, gemini: genai.Client) -> None:
    assert claude.models.retrieve("system.ai.claude-sonnet-4").display_name == "claude-sonnet-4 (stand-in)"
    chat, vectors = gemini.models.get(model="databricks-gemini-2-5-flash"), gemini.models.get(model=VECTORS)
    assert (chat.name, chat.supported_actions) == (
        "models/databricks-gemini-2-5-flash",
        ["generateContent", "streamGenerateContent", "countTokens"],
    )
    assert vectors.supported_actions == ["embedContent", "batchEmbedContents"]


def test_each_sdk_says_that_a_model_is_not_there(
    unified: openai.OpenAI, claude: anthropic.Anthropic, gemini: genai.Client
) -> None:
    with pytest.raises(openai.NotFoundError, match="Did you mean databricks-gpt-5-4"):
        unified.models.retrieve("databricks-gtp-5-4")
    with pytest.raises(anthropic.NotFoundError, match="'no-such' does not exist"):
        claude.models.retrieve("no-such")
    with pytest.raises(anthropic.NotFoundError, match=VECTORS):
        claude.models.retrieve(VECTORS)
    with pytest.raises(genai.errors.ClientError, match="404 NOT_FOUND"):
        gemini.models.get(model="no-such")


def test_counted_tokens_are_those_of_the_message(claude: anthropic.Anthropic) -> None:
    asked: Any = {"model": "databricks-claude-sonnet-4", "messages": MESSAGES, "system": "Be brief."}
    plain = claude.messages.count_tokens(**asked).input_tokens
    with_tool = claude.messages.count_tokens(**asked, tools=[TOOL]).input_tokens
    assert plain == claude.messages.create(**asked, max_tokens=9).usage.input_tokens
    assert with_tool == claude.messages.create(**asked, max_tokens=9, tools=[TOOL]).usage.input_tokens
    assert with_tool > plain + 10


def test_gemini_counts_the_tokens_of_contents_or_of_a_request(gemini: genai.Client, post: Post) -> None:
    model = "databricks-gemini-2-5-flash"
    answer = gemini.models.generate_content(model=model, contents=CONTENTS)
    assert answer.usage_metadata is not None
    expected = answer.usage_metadata.prompt_token_count
    assert gemini.models.count_tokens(model=model, contents=CONTENTS).total_tokens == expected
    contents = [content.model_dump(mode="json", exclude_none=True) for content in CONTENTS]
    whole = {"generateContentRequest": {"model": f"models/{model}", "contents": contents}}
    assert post(f"gemini/v1beta/models/{model}:countTokens", whole).json()["totalTokens"] == expected


def test_gemini_embeds_as_the_unified_route_does(gemini: genai.Client, unified: openai.OpenAI, post: Post) -> None:
    texts: Any = ["Name a lake.", "a river"]
    found = gemini.models.embed_content(
        model=VECTORS, contents=texts, config=types.EmbedContentConfig(output_dimensionality=64)
    )
    one = post(
        f"gemini/v1/models/{VECTORS}:embedContent",
        {"content": {"parts": [{"text": texts[0]}]}, "output_dimensionality": 64},
    )
    expected = unified.embeddings.create(model=VECTORS, input=texts, dimensions=64, encoding_format="float")
    vectors = [entry.embedding for entry in expected.data]
    assert [entry.values for entry in found.embeddings or ()] == vectors
    assert one.json() == {"embedding": {"values": vectors[0]}, "usageMetadata": {"promptTokenCount": 4}}


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([15339, 22553], "hello lake"),
        ([[15339, 22553]], "hello lake"),
        ([[2**31 - 1, 7]], "2147483647 7"),
    ],
)
def test_tokens_are_embedded_as_their_text_and_counted_as_they_are(
    unified: openai.OpenAI, tokens: Any, text: str
) -> None:
    sent = unified.embeddings.create(model=VECTORS, input=tokens)
    assert sent.data == unified.embeddings.create(model=VECTORS, input=text).data
    assert sent.usage.prompt_tokens == 2


def test_serving_endpoints_take_the_model_in_the_body(serving: openai.OpenAI) -> None:
    chat = serving.chat.completions.create(model="databricks-qwen3-next-80b-a3b-instruct", messages=MESSAGES)
    assert chat.choices[0].message.content == LAKE
    with serving.chat.completions.create(model="databricks-gpt-5-4", messages=MESSAGES, stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == LAKE
    assert serving.responses.create(model="databricks-gpt-5-4", input="Name a lake.").output_text == LAKE
    assert len(serving.embeddings.create(model=VECTORS, input="x").data[0].embedding) == 1024


@pytest.mark.parametrize(
    ("name", "body", "api_type"),
    [
        ("databricks-claude-opus-4-7", {"messages": MESSAGES}, "mlflow/v1/chat/completions"),
        ("databricks-qwen3-embedding-0-6b", {"input": ["a", "b"]}, "mlflow/v1/embeddings"),
        ("churn-scorer", {"dataframe_records": [{"age": 41}]}, "mlflow/v1/invocations"),
    ],
)
def test_invocations_speak_what_the_endpoint_is_for(
    post: Post, rows: Rows, name: str, body: Any, api_type: str
) -> None:
    event_id = uuid4().hex
    answer = post(f"../serving-endpoints/{name}/invocations?model=other", body, x_client_request_id=event_id)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() & {"choices", "data", "predictions"}
    (row,) = rows(event_id)
    assert (row["endpoint_name"], row["api_type"], row["status_code"]) == (name, api_type, 200)


@pytest.mark.parametrize(
    ("name", "body", "status", "named"),
    [
        ("databricks-gpt-5-4", {"input": "x"}, 400, "'messages'"),
        (VECTORS, {"messages": MESSAGES}, 400, "'input'"),
        ("databricks-gtp-5-4", {"messages": MESSAGES}, 404, "databricks-gpt-5-4"),
    ],
)
def test_invocations_say_what_an_endpoint_wants(post: Post, name: str, body: Any, status: int, named: str) -> None:
    answer = post(f"../serving-endpoints/{name}/invocations", body)
    assert (answer.status_code, named in answer.json()["message"]) == (status, True)


FURTHER: list[tuple[str, Any, int | None]] = [
    ("anthropic/v1/messages/count_tokens", {"model": "databricks-claude-sonnet-4", "messages": MESSAGES}, None),
    ("gemini/v1beta/models/databricks-gemini-2-5-pro:countTokens", {"contents": [{"parts": [{"text": "x"}]}]}, None),
    (f"gemini/v1beta/models/{VECTORS}:embedContent", {"content": {"parts": [{"text": "x"}]}}, 1),
    ("../serving-endpoints/chat/completions", {"model": "databricks-gpt-5-4", "messages": MESSAGES}, 24),
    (f"../serving-endpoints/{VECTORS}/invocations", {"input": [1, 2, 3]}, 3),
]


@pytest.mark.parametrize(("route", "body", "tokens"), FURTHER)
def test_further_routes_have_the_rules_of_the_others(
    gateway: RunningGateway, http: httpx.Client, post: Post, rows: Rows, route: str, body: Any, tokens: int | None
) -> None:
    assert http.post(f"/ai-gateway/{route}", json=body).status_code == 401
    event_id = uuid4().hex
    marks = {TAGS_HEADER: json.dumps(TAGS), "x_client_request_id": event_id}
    assert post(route, body, **{**marks, TAGS_HEADER: "x"}).status_code == 400
    assert post(route, body, **marks).status_code == 200
    gateway.configure(faults=[{"status": 503, "times": 1}])
    assert post(route, body, **marks).status_code == 503
    gateway.configure(rpm=1)
    assert [post(route, body, **marks).status_code for _ in range(2)] == [200, 429]
    found = rows(event_id)
    assert [row["status_code"] for row in found] == [400, 200, 503, 200, 429]
    assert [row["input_tokens"] for row in found] == [None, tokens, None, tokens, None]
    assert json.loads(found[1]["request_tags"]) == TAGS
    assert gateway.stats()["by_status"] == {"401": 1, "400": 1, "200": 2, "503": 1, "429": 1}
