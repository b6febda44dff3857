"""The mark that has a service keep the part of the prompts which all rows share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import InferenceRequest, JsonObject

PARAMETER = "cache_control"
NEEDS_SYSTEM_PROMPT = (
    f"{PARAMETER} marks the system prompt, which all rows share, and there is none: give systemPrompt (gb.Client: "
    "instructions), or leave it out"
)


def taken_out(body: JsonObject, call: InferenceRequest) -> Mapping[str, Any]:
    """Takes the mark out of a request's body.

    Raises:
        CallError: of kind `bad_request`: there is nothing to mark. Nothing was sent.
    """
    mark: Mapping[str, Any] = body.pop(PARAMETER)
    if not call.instructions:
        raise CallError(ErrorKind.BAD_REQUEST, NEEDS_SYSTEM_PROMPT)
    return mark


def marked(text: str, mark: Mapping[str, Any]) -> list[JsonObject]:
    """A text as content that ends with the mark, as Messages and chat completions have it."""
    return [{"type": "text", "text": text, PARAMETER: dict(mark)}]
