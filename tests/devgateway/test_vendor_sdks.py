"""The same through the unmodified Anthropic and Google SDKs, and what holds for all three."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from gateway_batch.devgateway import RunningGateway

from .conftest import TOKEN, Rows
from .conversation import CONTENTS, LAKE, MESSAGES, MODEL, SCHEMA, TAGS, TAGS_HEADER

pytestmark = pytest.mark.usefixtures("gateway")


def test_anthropic_answers_a_conversation(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="databricks-claude-sonnet-4", max_tokens=256, messages=MESSAGES)
    block: Any = message.content[0]
    assert block.text == LAKE
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens == 11


def test_anthropic_stops_at_max_tokens_and_at_stop_sequences(claude: anthropic.Anthropic) -> None:
    short = claude.messages.create(model=MODEL, max_tokens=2, messages=MESSAGES)
    stopped = claude.messages.create(model=MODEL, max_tokens=99, messages=MESSAGES, stop_sequences=["zzz", " lake"])
    assert short.stop_reason == "max_tokens"
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " lake")


def test_anthropic_streams_from_message_start_to_message_stop(claude: anthropic.Anthropic) -> None:
    with claude.messages.create(model=MODEL, max_tokens=99, messages=MESSAGES, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert list(dict.fromkeys(kinds)) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_anthropic_streams_through_the_sdks_accumulator(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model=MODEL, max_tokens=99, messages=MESSAGES) as stream:
        final = stream.get_final_message()
    block: Any = final.content[0]
    assert (block.text, final.stop_reason, final.usage.output_tokens) == (LAKE, "end_turn", 11)


def test_anthropic_keeps_to_a_schema(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model=MODEL,
        max_tokens=99,
        system="You answer about lakes.",
        messages=[{"role": "user", "content": "Lake Baikal is 1642 m deep. Which lake is it?"}],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    block: Any = message.content[0]
    assert json.loads(block.text) == {"lake": "Lake Baikal", "depth_m": 1642}


def test_anthropic_lists_the_chat_models_as_stand_ins(claude: anthropic.Anthropic) -> None:
    models = {model.id: model.display_name for model in claude.models.list()}
    assert models["system.ai.claude-sonnet-4"] == "claude-sonnet-4 (stand-in)"
    assert "system.ai.gte-large-en" not in models


def test_gemini_answers_a_conversation(gemini: genai.Client) -> None:
    answer = gemini.models.generate_content(
        model="databricks-gemini-2-5-flash",
        contents=CONTENTS,
        config=types.GenerateContentConfig(max_output_tokens=256, system_instruction="Be brief."),
    )
    assert answer.text == LAKE
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.candidates_token_count == 11


def test_gemini_takes_a_three_part_name(gemini: genai.Client) -> None:
    assert gemini.models.generate_content(model="system.ai.gemini-2-5-flash", contents=CONTENTS).text == LAKE


def test_gemini_stops_at_max_output_tokens(gemini: genai.Client) -> None:
    config = types.GenerateContentConfig(max_output_tokens=2)
    answer = gemini.models.generate_content(model=MODEL, contents=CONTENTS, config=config)
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_gemini_streams(gemini: genai.Client) -> None:
    chunks = list(gemini.models.generate_content_stream(model=MODEL, contents=CONTENTS))
    assert len(chunks) > 1
    assert "".join(chunk.text or "" for chunk in chunks) == LAKE
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


@pytest.mark.parametrize("field", ["response_json_schema", "response_schema"])
def test_gemini_keeps_to_a_schema(gemini: genai.Client, field: str) -> None:
    schema = {name: value for name, value in SCHEMA.items() if name != "additionalProperties"}
    config: Any = {"response_mime_type": "application/json", field: schema}
    answer = gemini.models.generate_content(
        model=MODEL, contents="Lake Baikal is 1642 m deep. Which lake is it?", config=config
    )
    assert json.loads(answer.text or "") == {"lake": "Lake Baikal", "depth_m": 1642}


def test_gemini_lists_the_chat_models(gemini: genai.Client) -> None:
    assert "models/system.ai.gpt-5-4" in [model.name for model in gemini.models.list()]


def test_request_tags_of_each_sdk_reach_the_ledger(
    gateway: RunningGateway, unified: openai.OpenAI, gemini: genai.Client, rows: Rows
) -> None:
    event_id = uuid4().hex
    headers = {TAGS_HEADER: json.dumps(TAGS), "x-client-request-id": event_id}
    unified.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers)
    unified.embeddings.create(model="databricks-gte-large-en", input="x", extra_headers=headers)
    unified.responses.create(model=MODEL, input="x", extra_headers=headers)
    with anthropic.Anthropic(
        api_key="unused",
        base_url=f"{gateway.host}/ai-gateway/anthropic",
        default_headers={"Authorization": f"Bearer {TOKEN}", **headers},
    ) as claude:
        claude.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)
    gemini.models.generate_content(
        model=MODEL,
        contents="x",
        config=types.GenerateContentConfig(http_options=types.HttpOptions(headers=headers)),
    )
    found = rows(event_id)
    assert [row["api_type"] for row in found] == [
        "mlflow/v1/chat/completions",
        "mlflow/v1/embeddings",
        "mlflow/v1/responses",
        "anthropic/v1/messages",
        "gemini/v1/generateContent",
    ]
    assert [json.loads(row["request_tags"]) for row in found] == [TAGS] * 5


def test_each_sdk_shows_the_message_of_a_refusal(
    unified: openai.OpenAI, claude: anthropic.Anthropic, gemini: genai.Client
) -> None:
    with pytest.raises(openai.NotFoundError, match="'no-such' does not exist") as from_openai:
        unified.chat.completions.create(model="no-such", messages=MESSAGES)
    assert from_openai.value.code == "ENDPOINT_NOT_FOUND"
    with pytest.raises(anthropic.NotFoundError, match="'no-such' does not exist"):
        claude.messages.create(model="no-such", max_tokens=9, messages=MESSAGES)
    with pytest.raises(genai.errors.ClientError, match="'no-such' does not exist"):
        gemini.models.generate_content(model="no-such", contents="x")
