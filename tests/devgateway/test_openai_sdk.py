"""Every request of the page on querying model services that the unmodified OpenAI SDK sends, streamed too."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest

from .conversation import LAKE, MESSAGES, MODEL, PARTS, SCHEMA

pytestmark = pytest.mark.usefixtures("gateway")


def test_openai_chat_answers_a_conversation(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(model=MODEL, max_tokens=256, messages=MESSAGES)
    assert chat.choices[0].message.content == LAKE
    assert chat.choices[0].finish_reason == "stop"
    assert chat.usage is not None
    assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens


def test_openai_chat_is_on_the_native_route_too(native: openai.OpenAI) -> None:
    chat = native.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert chat.choices[0].message.content == LAKE


@pytest.mark.parametrize("name", [MODEL, "system.ai.gpt-5-4", "main.default.support"])
def test_a_model_service_is_called_by_either_form_of_its_name(unified: openai.OpenAI, name: str) -> None:
    assert unified.chat.completions.create(model=name, messages=MESSAGES).choices[0].message.content == LAKE


def test_openai_chat_streams_the_same_text_and_its_usage(unified: openai.OpenAI) -> None:
    with unified.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == LAKE
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 11


def test_openai_chat_streams_no_usage_unasked(unified: openai.OpenAI) -> None:
    with unified.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_openai_chat_stops_at_max_tokens(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(model=MODEL, max_tokens=3, messages=MESSAGES)
    assert chat.choices[0].finish_reason == "length"
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 3
    assert LAKE.startswith(chat.choices[0].message.content or "nothing")


def test_openai_chat_stops_before_a_stop_sequence(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(model=MODEL, messages=MESSAGES, stop=[" about"])
    assert chat.choices[0].message.content == "This is a stand-in's answer"
    assert chat.choices[0].finish_reason == "stop"


def test_openai_chat_reads_parts_and_counts_images(unified: openai.OpenAI) -> None:
    def ask(*more: Any) -> openai.types.chat.ChatCompletion:
        parts = [{"type": "text", "text": "Name a lake."}, *more]
        message: Any = {"role": "user", "content": parts}
        return unified.chat.completions.create(model="databricks-llama-4-maverick", messages=[message])

    plain = ask()
    pictured = ask({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})
    assert plain.choices[0].message.content == pictured.choices[0].message.content == LAKE
    assert plain.usage is not None
    assert pictured.usage is not None
    assert pictured.usage.prompt_tokens > plain.usage.prompt_tokens + 100


def test_openai_chat_answers_in_blocks_for_gpt_oss(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(model="databricks-gpt-oss-20b", messages=MESSAGES)
    content: Any = chat.choices[0].message.content
    assert [block["type"] for block in content] == ["reasoning", "text"]
    assert content[1]["text"] == LAKE


def test_openai_chat_keeps_to_a_schema(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Lake Baikal is 1642 m deep. Which lake is it?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "lake", "schema": SCHEMA, "strict": True},
        },
    )
    assert json.loads(chat.choices[0].message.content or "") == {"lake": "Lake Baikal", "depth_m": 1642}


def test_openai_chat_answers_with_any_json_object(unified: openai.OpenAI) -> None:
    chat = unified.chat.completions.create(model=MODEL, messages=MESSAGES, response_format={"type": "json_object"})
    assert isinstance(json.loads(chat.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_openai_embeds_one_text(unified: openai.OpenAI, encoding: Literal["float", "base64"] | None) -> None:
    chosen: Any = {} if encoding is None else {"encoding_format": encoding}
    answer = unified.embeddings.create(model="databricks-gte-large-en", input="Name a lake.", **chosen)
    vector: Any = answer.data[0].embedding
    assert isinstance(vector, str) if encoding == "base64" else len(vector) == 1024
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4


def test_openai_embeds_several_texts_in_order_and_in_fewer_dimensions(unified: openai.OpenAI) -> None:
    both = unified.embeddings.create(model="system.ai.bge-large-en", input=["a lake", "a river"], dimensions=64)
    one = unified.embeddings.create(model="databricks-bge-large-en", input="a river", dimensions=64)
    assert [entry.index for entry in both.data] == [0, 1]
    assert len(both.data[0].embedding) == 64
    assert both.data[1].embedding == one.data[0].embedding


def test_supervisor_api_answers(unified: openai.OpenAI) -> None:
    answer = unified.responses.create(model=MODEL, input=[{"role": "user", "content": "Name a lake."}])
    assert answer.output_text == LAKE


def test_openai_responses_answer_typed_parts(native: openai.OpenAI) -> None:
    answer = native.responses.create(model=MODEL, max_output_tokens=256, input=PARTS)
    item: Any = answer.output[0]
    assert item.content[0].text == LAKE == answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_openai_responses_are_incomplete_at_max_output_tokens(native: openai.OpenAI) -> None:
    answer = native.responses.create(model=MODEL, max_output_tokens=2, input="Name a lake.")
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_openai_responses_keep_to_a_schema(native: openai.OpenAI) -> None:
    answer = native.responses.create(
        model=MODEL,
        input="Lake Baikal is 1642 m deep. Which lake is it?",
        text={"format": {"type": "json_schema", "name": "lake", "schema": SCHEMA, "strict": True}},
    )
    assert json.loads(answer.output_text) == {"lake": "Lake Baikal", "depth_m": 1642}


@pytest.mark.parametrize("route", ["unified", "native"])
def test_openai_responses_stream_their_events_in_order(route: str, request: pytest.FixtureRequest) -> None:
    client: openai.OpenAI = request.getfixturevalue(route)
    with client.responses.create(model=MODEL, input="Name a lake.", stream=True) as stream:
        events: list[Any] = list(stream)
    kinds = [event.type.removeprefix("response.") for event in events]
    assert list(dict.fromkeys(kinds)) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta")
        == LAKE
        == events[-1].response.output_text
    )


def test_openai_responses_stream_through_the_sdks_accumulator(native: openai.OpenAI) -> None:
    with native.responses.stream(model=MODEL, input="Name a lake.") as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == LAKE


def test_openai_lists_the_models_and_who_owns_them(unified: openai.OpenAI, native: openai.OpenAI) -> None:
    owners = {model.id: model.owned_by for model in unified.models.list()}
    assert owners["main.default.support"] == "gateway_batch stand-in"
    assert owners == {model.id: model.owned_by for model in native.models.list()}
