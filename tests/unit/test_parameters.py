"""Model parameters in each format's words; the vendors' own types judge the whole requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway_batch.apis import api_for
from gateway_batch.apis.model_families import output_ceiling, wants_completion_tokens
from gateway_batch.apis.parameter_table import TABLE, Dialect
from gateway_batch.apis.parameters import (
    ParameterFault,
    mapped_parameters,
    most_output,
    parameters_for_call,
    unsupported_names,
)
from gateway_batch.errors import CallError
from gateway_batch.types import InferenceRequest, ResponseFormat, Service
from tests.unit.test_vendor_types import JUDGES

ROUTES = {
    Dialect.CHAT: "openai/v1/chat/completions",
    Dialect.RESPONSES: "openai/v1/responses",
    Dialect.MESSAGES: "anthropic/v1/messages",
    Dialect.GEMINI: "gemini/v1/generateContent",
}
MODELS = {Dialect.MESSAGES: "claude-opus-4-6", Dialect.GEMINI: "gemini-3-pro"}
# A value for each row of the table; servers other than the vendors take more (NOT_THE_SDKS).
VALUES: dict[str, Any] = {
    "max_tokens": 50,
    "stop": ["\n"],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "seed": 7,
    "reasoning_effort": "low",
    "thinking.budget_tokens": 2048,
    "thinkingConfig.includeThoughts": True,
    "verbosity": "low",
    "service_tier": "default",
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": 1},
    "n": 1,
    "user": "u",
    "safety_identifier": "u",
    "metadata": {"user_id": "u"},
    "parallel_tool_calls": True,
    "tool_choice": {Dialect.MESSAGES: {"type": "auto"}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "labels": {"a": "b"},
    "cachedContent": "cachedContents/1",
    "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
    "cache_control": {"type": "ephemeral"},
    "tools": [],
    "store": True,
    "response_format": {"type": "text"},
}
# Chat completions of other servers, and Anthropic's older models, which its SDK has dropped.
NOT_THE_SDKS = {
    (Dialect.CHAT, "top_k"),
    (Dialect.CHAT, "thinking.budget_tokens"),
    (Dialect.CHAT, "cache_control"),
    (Dialect.MESSAGES, "temperature"),
    (Dialect.MESSAGES, "top_p"),
    (Dialect.MESSAGES, "top_k"),
}


def mapped(parameters: dict[str, Any], dialect: Dialect, model: str | None = None, url: str = "") -> dict[str, Any]:
    return mapped_parameters(parameters, dialect, model or MODELS.get(dialect, "m"), url)


def as_given(name: str, value: Any) -> dict[str, Any]:
    """A parameter as callers give it, in its object where its name has a dot."""
    outer, _, inner = name.partition(".")
    return {outer: {inner: value}} if inner else {name: value}


def value_of(name: str, dialect: Dialect) -> Any:
    value = VALUES[name]
    return value.get(dialect, "auto") if name == "tool_choice" else value


SAID = [
    pytest.param(dialect, parameter.name, name, id=f"{dialect.name}-{name}")
    for dialect in Dialect
    for parameter in TABLE
    for name in parameter.names
    if parameter.path(dialect) is not None and not (dialect is Dialect.CHAT and "." in name)
]


def test_parameters_that_changed_are_mapped_anew() -> None:
    service = Service(endpoint="e", api="gemini/v1/generateContent", url="https://h/r", model="m")
    given = {"max_tokens": 1}
    first = parameters_for_call(given, Dialect.GEMINI, service)
    assert parameters_for_call(given, Dialect.GEMINI, service) == first
    given["max_tokens"] = 2
    assert parameters_for_call(given, Dialect.GEMINI, service) != first


@pytest.mark.parametrize(
    ("given", "most"),
    [
        *(({name: 7}, 7) for name in TABLE[0].names),
        ({"generationConfig": {"maxOutputTokens": 7}}, 7),
        ({"max_tokens": None, "max_completion_tokens": 7}, 7),
        ({"max_tokens": True}, None),
        ({"temperature": 0}, None),
    ],
)
def test_the_most_tokens_of_an_answer_are_known_by_each_name(given: dict[str, Any], most: int | None) -> None:
    assert most_output(given) == most
    assert TABLE[0].name == "max_tokens"


def test_one_is_not_taken_for_true() -> None:
    service = Service(endpoint="e", api="gemini/v1/generateContent", url="https://h/r", model="m")
    asked = [parameters_for_call({"logprobs": value}, Dialect.GEMINI, service) for value in (1, True, 1)]
    configs = [each["generationConfig"] for each in asked]
    assert configs == [{"logprobs": 1}, {"responseLogprobs": True}, {"logprobs": 1}]


@pytest.mark.parametrize("dialect", [Dialect.CHAT, Dialect.MESSAGES])
def test_a_mark_for_the_prompt_cache_needs_something_to_mark(dialect: Dialect) -> None:
    service = Service(endpoint="e", api=ROUTES[dialect], url="https://h", model="m")
    call = InferenceRequest("x", {"cache_control": {"type": "ephemeral"}}, response_format=ResponseFormat())
    with pytest.raises(CallError, match="cache_control marks the system prompt, which all rows share, and there is"):
        api_for(service.api).build(call, service)


@pytest.mark.parametrize(("dialect", "row", "name"), SAID)
def test_the_vendors_types_take_each_parameter_by_each_name(dialect: Dialect, row: str, name: str) -> None:
    service = Service(endpoint="e", api=ROUTES[dialect], url="https://h", model=MODELS.get(dialect, "m"))
    given = as_given(name, value_of(row, dialect))
    asked = InferenceRequest("x", instructions="Be short.")
    plain = orjson.loads(api_for(service.api).build(asked, service).body)
    body = orjson.loads(api_for(service.api).build(replace(asked, parameters=given), service).body)
    assert body != plain
    if (dialect, row) not in NOT_THE_SDKS:
        JUDGES[ROUTES[dialect].split("/", 2)[2]](body)


@pytest.mark.parametrize(
    ("dialect", "name"), [(dialect, name) for dialect in Dialect for name in sorted(unsupported_names(dialect))]
)
def test_what_a_format_does_not_have_is_refused_by_name(dialect: Dialect, name: str) -> None:
    with pytest.raises(ParameterFault, match=rf"^{name}: .* has no such parameter\. "):
        mapped({name: 1}, dialect)


@pytest.mark.parametrize(
    ("dialect", "given", "sent"),
    [
        (
            Dialect.CHAT,
            {"maxOutputTokens": 5, "stop_sequences": ["x"], "topP": 1},
            {"max_tokens": 5, "stop": ["x"], "top_p": 1},
        ),
        (Dialect.CHAT, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (
            Dialect.CHAT,
            {"reasoning": {"effort": "low"}, "guided_json": {}},
            {"reasoning": {"effort": "low"}, "guided_json": {}},
        ),
        (
            Dialect.RESPONSES,
            {"reasoning": {"summary": "auto"}, "reasoning_effort": "low", "max_completion_tokens": 5},
            {"reasoning": {"summary": "auto", "effort": "low"}, "max_output_tokens": 5},
        ),
        (Dialect.RESPONSES, {"max_tokens": 5, "max_output_tokens": 5}, {"max_output_tokens": 5}),
        (
            Dialect.MESSAGES,
            {"reasoning_effort": "minimal", "max_tokens": 5},
            {"output_config": {"effort": "low"}, "max_tokens": 5},
        ),
        (
            Dialect.MESSAGES,
            {"reasoning_effort": "none", "max_tokens": 5, "user": "u"},
            {"thinking": {"type": "disabled"}, "max_tokens": 5, "metadata": {"user_id": "u"}},
        ),
        (
            Dialect.GEMINI,
            {"generationConfig": {"topK": 3}, "thinking_config": {"thinking_level": "HIGH"}, "service_tier": "flex"},
            {"generationConfig": {"topK": 3, "thinkingConfig": {"thinkingLevel": "HIGH"}}, "serviceTier": "flex"},
        ),
        (
            Dialect.GEMINI,
            {"stop": "x", "logprobs": True, "top_logprobs": 2},
            {"generationConfig": {"stopSequences": ["x"], "responseLogprobs": True, "logprobs": 2}},
        ),
        (Dialect.GEMINI, {"logprobs": 2}, {"generationConfig": {"logprobs": 2}}),
        (
            Dialect.MESSAGES,
            {"cache_control": {"type": "ephemeral"}, "max_tokens": 5},
            {"cache_control": {"type": "ephemeral"}, "max_tokens": 5},
        ),
        (
            Dialect.GEMINI,
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 9}}},
        ),
    ],
)
def test_parameters_go_where_the_format_has_them(dialect: Dialect, given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert mapped(given, dialect) == sent


@pytest.mark.parametrize(
    ("dialect", "given", "says"),
    [
        (Dialect.MESSAGES, {"max_tokens": 5, "maxOutputTokens": 6}, "maxOutputTokens: says the same as max_tokens"),
        (Dialect.CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens: says the same"),
        (Dialect.CHAT, {"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning: says the same"),
        (Dialect.RESPONSES, {"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_effort: says"),
        (Dialect.MESSAGES, {"user": "a", "safety_identifier": "b"}, "safety_identifier: says the same as user"),
        (Dialect.MESSAGES, {"metadata": {"team": "x"}}, r"metadata: .*metadata\.user_id"),
        (Dialect.MESSAGES, {"service_tier": "flex"}, "has no tier 'flex'"),
        (Dialect.GEMINI, {"reasoning_effort": "none"}, "must be one of minimal"),
        (Dialect.MESSAGES, {"cache_control": True}, "cache_control: must be an object such as"),
        (Dialect.CHAT, {"cache_control": "ephemeral"}, "cache_control: must be an object such as"),
        (Dialect.RESPONSES, {"cache_control": {}}, "cache_control: Responses has no such .*by itself: leave it out"),
        (Dialect.GEMINI, {"cache_control": {}}, "cache_control: generateContent has no such .*by itself"),
        (Dialect.GEMINI, {"reasoning": {"summary": "auto"}}, r"reasoning\.summary: generateContent has no"),
    ],
)
def test_what_can_not_be_said_is_refused(dialect: Dialect, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterFault, match=says):
        mapped(given, dialect)


@pytest.mark.parametrize(
    ("model", "url", "name"),
    [
        ("gpt-5.2", "https://api.openai.com/v1/chat/completions", "max_completion_tokens"),
        ("o4-mini", "https://x.openai.azure.com/openai/v1/chat/completions", "max_completion_tokens"),
        ("gpt-4o", "https://api.openai.com/v1/chat/completions", "max_tokens"),
        ("gpt-5.2", "http://127.0.0.1:4000/v1/chat/completions", "max_tokens"),
        ("gpt-5.2", "https://api.openai.com.example.org/v1/chat/completions", "max_tokens"),
    ],
)
def test_only_openai_itself_is_sent_the_new_name_of_max_tokens(model: str, url: str, name: str) -> None:
    assert mapped({"max_tokens": 5}, Dialect.CHAT, model, url) == {name: 5}


@pytest.mark.parametrize(
    ("model", "wants"),
    [("o1", True), ("gpt-12", True), ("gpt-4.1", False), ("gpt-oss-20b", False), ("gpt-35-turbo", False)],
)
def test_models_that_take_completion_tokens_only(model: str, wants: bool) -> None:
    assert wants_completion_tokens(model) is wants


@pytest.mark.parametrize(
    ("model", "given", "limit"),
    [
        ("claude-sonnet-4-5-20250929", {}, 64_000),
        ("databricks-claude-opus-4-1", {}, 32_000),
        ("claude-3-5-haiku-latest", {}, 8192),
        ("claude-3-haiku-20240307", {}, 4096),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", {}, 64_000),
        ("my-model", {}, 4096),
        ("my-model", {"thinking": {"type": "enabled", "budget_tokens": 8000}}, 12_096),
        ("claude-sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 8000}}, 64_000),
        ("claude-sonnet-4-5", {"thinking": {"type": "enabled", "budget_tokens": 8000}, "max_tokens": 500}, 8500),
        ("claude-sonnet-4-5", {"reasoning_effort": "low", "max_tokens": 500}, 1524),
    ],
)
def test_max_tokens_of_messages_leave_room_for_thoughts(model: str, given: dict[str, Any], limit: int) -> None:
    assert mapped(given, Dialect.MESSAGES, model)["max_tokens"] == limit


def test_newer_claudes_have_at_least_the_ceiling_of_older_ones() -> None:
    assert output_ceiling("claude-opus-5-1") == output_ceiling("claude-opus-4-6") == 128_000


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "apis.md").read_text(encoding="utf-8")
    assert table_as_markdown() in page


def table_as_markdown() -> str:
    """The table as the page has it; printed by `python -m tests.unit.test_parameters`."""
    lines = ["| parameter, by any of its names | " + " | ".join(Dialect) + " |", "|---|---|---|---|---|"]
    for each in TABLE:
        paths = (each.path(dialect) for dialect in Dialect)
        cells = (f"`{path}`" if path else "-" for path in paths)
        lines.append(f"| {', '.join(f'`{name}`' for name in each.names)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table_as_markdown(), end="")
