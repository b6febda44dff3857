# ruff: noqa: E501  answers as they came, one a line
from __future__ import annotations

import orjson
import pytest

from gateway_batch.apis.refused_parameters import RefusedParameters, refused_parameter

WORDS = {
    "openai": ({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model.", "param": "max_tokens", "code": "unsupported_parameter"}}, "max_tokens"),
    "openai value": ({"error": {"message": "Unsupported value: 'temperature' does not support 0.1 with this model.", "param": "temperature", "code": "unsupported_value"}}, "temperature"),
    "openai argument": ({"error": {"message": "Unrecognized request argument supplied: top_k", "param": None, "code": None}}, "top_k"),
    "openai nested": ({"error": {"message": "no", "param": "reasoning.effort", "code": "unsupported_parameter"}}, "reasoning_effort"),
    "anthropic": ({"type": "error", "error": {"type": "invalid_request_error", "message": "seed: Extra inputs are not permitted"}}, "seed"),
    "gemini": ([{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"serviceTier\": Cannot find field."}}], "service_tier"),
    "gemini config": ({"error": {"message": "Unknown name \"topK\" at 'generation_config': Cannot find field."}}, "top_k"),
    "pydantic": ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": "Unknown name top_k"}]}, "seed"),
    "pydantic text": ({"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'verbosity'), 'msg': 'Extra inputs are not permitted'}]"}, "verbosity"),
    "litellm": ({"error": {"message": "litellm.UnsupportedParamsError: openai does not support parameters: ['top_k'], for model=gpt-4o."}}, "top_k"),
    "no parameter of the call": ({"error": {"message": "Unrecognized request argument supplied: frequency"}}, None),
    "a value in its range": ({"error": {"message": "temperature must be at most 2", "param": "temperature", "code": "invalid_value"}}, None),
    "a message's member": ({"error": {"message": "messages.0.user.name: Extra inputs are not permitted"}}, None),
}  # fmt: skip
SENT = ("max_tokens", "temperature", "top_k", "seed", "service_tier", "verbosity", "reasoning_effort")


@pytest.mark.parametrize(("body", "name"), WORDS.values(), ids=WORDS)
def test_a_refusal_names_its_parameter(body: object, name: str | None) -> None:
    assert refused_parameter(400, orjson.dumps(body), SENT) == name


def test_only_a_refused_request_refuses_a_parameter() -> None:
    assert refused_parameter(500, b"Unrecognized request argument supplied: top_k", SENT) is None
    assert refused_parameter(422, b"Unrecognized request argument supplied: top_k", SENT) == "top_k"


def test_a_service_keeps_what_it_refused() -> None:
    refused = RefusedParameters(most=2)
    assert [refused.note("a", "seed"), refused.note("a", "seed"), refused.note("a", "top_k")] == [True, False, True]
    assert refused.of("a") == {"seed", "top_k"}
    refused.note("b", "x")
    refused.note("c", "x")
    assert refused.of("a") == frozenset()
