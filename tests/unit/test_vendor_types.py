"""Every pinned request is one that the vendor's own SDK could have sent: their types are the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from google.genai import types
from openai.types import EmbeddingCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import ConfigDict, TypeAdapter

CASES = sorted((Path(__file__).parents[1] / "golden" / "apis").glob("*.json"))
# Databricks' own `reasoning`, and `cache_control`, which OpenAI doesn't have; sampling settings, which Anthropic's SDK
# has dropped but its older models take.
FOREIGN = {"chat_parameters", "chat_prompt_cache", "anthropic_parameters"}


def judge_of(typed_dict: Any) -> Callable[[Any], Any]:
    """A check against a TypedDict that refuses fields which it doesn't have."""
    typed_dict.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(typed_dict).validate_python


def judge_gemini(body: dict[str, Any]) -> None:
    """Google's SDK has the parts of a request as models, which refuse unknown fields, but not the whole."""
    beside = {"safetySettings", "tools", "toolConfig", "cachedContent", "labels", "serviceTier", "store"}
    assert body.keys() <= {"contents", "systemInstruction", "generationConfig"} | beside
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    types.ServiceTier(body.get("serviceTier", "unspecified"))
    for setting in body.get("safetySettings", ()):
        types.SafetySetting.model_validate(setting)


JUDGES: dict[str, Callable[[Any], Any]] = {
    "chat/completions": judge_of(CompletionCreateParamsNonStreaming),
    "responses": judge_of(ResponseCreateParamsNonStreaming),
    "embeddings": judge_of(EmbeddingCreateParams),
    "messages": judge_of(MessageCreateParamsNonStreaming),
    "generateContent": judge_gemini,
}


def requests() -> list[Any]:
    found = []
    for path in CASES:
        case = orjson.loads(path.read_bytes())
        route = case["api"].split("/", 2)[2]
        if route in JUDGES and path.stem not in FOREIGN:
            found.append(pytest.param(JUDGES[route], case["wire"], id=path.stem))
    return found


@pytest.mark.parametrize(("judge", "body"), requests())
def test_the_vendors_types_take_the_request(judge: Callable[[Any], Any], body: dict[str, Any]) -> None:
    judge(body)


@pytest.mark.parametrize("route", JUDGES)
def test_the_vendors_types_refuse_a_field_that_they_do_not_have(route: str) -> None:
    body = next(param.values[1] for param in requests() if param.values[0] is JUDGES[route])
    with pytest.raises((ValueError, AssertionError)):
        JUDGES[route]({**body, "max_tokenz": 1})
