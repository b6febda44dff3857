"""Calls that a request forces, through the unmodified SDKs: the arguments come from the tool's schema."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall

from .conftest import Post
from .conversation import LAKE, SCHEMA

pytestmark = pytest.mark.usefixtures("gateway")

GPT, CLAUDE, GEMINI = "databricks-gpt-5-4", "databricks-claude-sonnet-4-6", "databricks-gemini-3-5-flash"
ASKED: Any = [{"role": "user", "content": "Lake Baikal is 1642 m deep. Which lake is it?"}]
FOUND = {"lake": "Lake Baikal", "depth_m": 1642}
BLANK = {"type": "object", "properties": {}}
SPEC = {"lake": ("Notes a lake and its depth", SCHEMA), "weather": ("Says how the weather is", BLANK)}

CHAT_TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": said, "parameters": schema}}
    for name, (said, schema) in SPEC.items()
]
RESPONSES_TOOLS: Any = [
    {"type": "function", "name": name, "description": said, "parameters": schema, "strict": True}
    for name, (said, schema) in SPEC.items()
]
CLAUDE_TOOLS: Any = [
    {"name": name, "description": said, "input_schema": schema} for name, (said, schema) in SPEC.items()
]
GEMINI_TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=name, description=said, parameters_json_schema=schema)
        for name, (said, schema) in SPEC.items()
    ]
)
NAMED: Any = {"type": "function", "function": {"name": "weather"}}
ALLOWED: Any = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}


def called(message: ChatCompletionMessage) -> ChatCompletionMessageFunctionToolCall:
    """The one function that a message calls."""
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    return call


@pytest.mark.parametrize(
    ("choice", "name", "arguments", "finish"),
    [
        ("required", "lake", FOUND, "tool_calls"),
        ({"type": "function", "function": {"name": "lake"}}, "lake", FOUND, "stop"),
        (NAMED, "weather", {}, "stop"),
        (ALLOWED, "weather", {}, "tool_calls"),
    ],
)
def test_chat_completions(unified: openai.OpenAI, choice: Any, name: str, arguments: Any, finish: str) -> None:
    asked: Any = {"model": GPT, "messages": ASKED, "tools": CHAT_TOOLS, "tool_choice": choice}
    whole = unified.chat.completions.create(**asked).choices[0]
    call = called(whole.message)
    assert (call.function.name, json.loads(call.function.arguments)) == (name, arguments)
    assert (whole.message.content, whole.finish_reason) == (None, finish)
    with unified.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    again = called(streamed.message)
    assert (again.function.name, again.function.arguments) == (call.function.name, call.function.arguments)
    assert streamed.finish_reason == finish


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "lake"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "lake"}]},
    ],
)
def test_responses(native: openai.OpenAI, choice: Any) -> None:
    asked: Any = {"model": GPT, "input": ASKED[0]["content"], "tools": RESPONSES_TOOLS, "tool_choice": choice}
    (item,) = native.responses.create(**asked).output
    assert item.type == "function_call"
    assert (item.name, json.loads(item.arguments), item.status) == ("lake", FOUND, "completed")
    with native.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        (again,) = stream.get_final_response().output
    assert again.type == "function_call"
    assert (again.name, again.arguments) == ("lake", item.arguments)
    assert "response.function_call_arguments.done" in kinds


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "lake"}])
def test_anthropic_messages(claude: anthropic.Anthropic, choice: Any) -> None:
    asked: Any = {"model": CLAUDE, "max_tokens": 99, "messages": ASKED, "tools": CLAUDE_TOOLS, "tool_choice": choice}
    message = claude.messages.create(**asked)
    (block,) = message.content
    assert block.type == "tool_use"
    assert (block.name, block.input, message.stop_reason) == ("lake", FOUND, "tool_use")
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    (again,) = streamed.content
    assert again.type == "tool_use"
    assert (again.name, again.input, streamed.stop_reason) == ("lake", FOUND, "tool_use")


@pytest.mark.parametrize("allowed", [None, ["lake"], ["weather"]])
def test_gemini(gemini: genai.Client, allowed: list[str] | None) -> None:
    calling = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=allowed)
    config = types.GenerateContentConfig(
        tools=[GEMINI_TOOLS], tool_config=types.ToolConfig(function_calling_config=calling)
    )
    asked: Any = {"model": GEMINI, "contents": ASKED[0]["content"], "config": config}
    expected = ("weather", {}) if allowed == ["weather"] else ("lake", FOUND)
    for answer in (gemini.models.generate_content(**asked), *gemini.models.generate_content_stream(**asked)):
        assert answer.function_calls is not None
        (call,) = answer.function_calls
        assert (call.name, call.args) == expected
        assert answer.candidates is not None
        assert answer.candidates[0].finish_reason == types.FinishReason.STOP


def test_gemini_reads_googles_own_dialect(post: Post) -> None:
    schema = {"type": "OBJECT", "properties": {"depth_m": {"type": "INTEGER"}}, "required": ["depth_m"]}
    body = {
        "contents": [{"parts": [{"text": ASKED[0]["content"]}]}],
        "tools": [{"function_declarations": [{"name": "deep", "parameters": schema}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY"}},
    }
    answer = post(f"gemini/v1beta/models/{GEMINI}:generateContent", body).json()
    assert answer["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"name": "deep", "args": {"depth_m": 1642}}}
    ]


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_model_that_may_choose_answers_in_words(unified: openai.OpenAI, choice: Any) -> None:
    chosen: Any = {} if choice is None else {"tool_choice": choice}
    answer = unified.chat.completions.create(
        model=GPT, messages=[{"role": "user", "content": "Name a lake."}], tools=CHAT_TOOLS, **chosen
    )
    assert answer.choices[0].message.content == LAKE
    assert answer.choices[0].finish_reason == "stop"


def test_a_call_that_is_cut_says_so(post: Post) -> None:
    chat = {"model": GPT, "messages": ASKED, "tools": CHAT_TOOLS, "tool_choice": "required", "max_tokens": 4}
    messages = {"model": CLAUDE, "messages": ASKED, "tools": CLAUDE_TOOLS, "tool_choice": {"type": "any"}}
    google = {
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": "lake", "parametersJsonSchema": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 4},
    }
    choice = post("mlflow/v1/chat/completions", chat).json()["choices"][0]
    message = post("anthropic/v1/messages", {**messages, "max_tokens": 4}).json()
    candidate = post(f"gemini/v1/models/{GEMINI}:generateContent", google).json()["candidates"][0]
    assert choice["finish_reason"] == "length"
    assert FOUND["lake"] not in choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert (message["stop_reason"], message["content"][0]["input"]) == ("max_tokens", {})
    assert (candidate["finishReason"], candidate["content"]["parts"]) == ("MAX_TOKENS", [])


def test_stop_sequences_and_formats_do_not_touch_a_forced_call(unified: openai.OpenAI) -> None:
    answer = unified.chat.completions.create(
        model=GPT,
        messages=ASKED,
        tools=CHAT_TOOLS,
        tool_choice="required",
        stop=["lake"],
        response_format={"type": "json_object"},
    )
    assert json.loads(called(answer.choices[0].message).function.arguments) == FOUND
