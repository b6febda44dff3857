"""Anthropic Messages, native."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway_batch.apis import prompt_cache
from gateway_batch.apis.endings import CALLED, CUT, REFUSED, Ending, text_result
from gateway_batch.apis.files import PDF, check_files
from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.parameters import parameters_for_call, unsupported_names
from gateway_batch.apis.replies import (
    check_error,
    check_policy,
    count,
    json_object,
    object_or_empty,
    string,
    sum_of,
)
from gateway_batch.apis.requests import json_request
from gateway_batch.apis.wire_schemas import schema_in_words, wire_schema
from gateway_batch.types import (
    HttpReply,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    JsonObject,
    Service,
    Task,
    TokenUsage,
)

VERSION = "2023-06-01"
JSON_INSTRUCTIONS = "Answer with one JSON object and nothing else: no other text, no code fence."

_REASONING = frozenset({"thinking", "redacted_thinking"})
_COUNTED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "output_tokens_details.thinking_tokens",
    }
)
_ENDINGS = {"max_tokens": CUT, "model_context_window_exceeded": CUT, "tool_use": CALLED}


class AnthropicMessages:
    """Messages. `max_tokens` is the most that the model may answer with, where the call gives none.

    A JSON schema goes out as `output_config.format`. There is no format for JSON without a schema: that is asked for
    at the end of the system prompt. A schema's `name` and `strict` have no place here.
    """

    task = Task.CHAT
    reserved = frozenset({"model", "messages", "system", "stream"})
    dialect: Dialect | None = Dialect.MESSAGES
    unsupported = unsupported_names(Dialect.MESSAGES)

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{model, max_tokens, messages, system, ...parameters, output_config}`."""
        if call.files:
            check_files(call.files, Dialect.MESSAGES)
        body: JsonObject = {
            "model": service.model,
            "messages": [{"role": "user", "content": _blocks(call) if call.files else call.text}],
        }
        system = _system(call)
        if system:
            body["system"] = system
        body |= parameters_for_call(call.parameters, Dialect.MESSAGES, service)
        mark = prompt_cache.taken_out(body, call) if prompt_cache.PARAMETER in body else None
        if system and mark is not None:
            body["system"] = prompt_cache.marked(system, mark)
        if (schema := _wire_schema(call)) is not None:
            wanted = {"type": "json_schema", "schema": schema}
            body["output_config"] = {**object_or_empty(body.get("output_config")), "format": wanted}
        return json_request(service, body, {"anthropic-version": VERSION})

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The text blocks, joined; others, such as thinking, are left out."""
        body = json_object(reply)
        usage, ended = _usage(body, reply), string(body.get("stop_reason"))
        paid = InferenceResult("", usage=usage, model=string(body.get("model")), finish_reason=ended)
        check_policy(body, reply, paid)
        check_error(body, reply, paid)
        content = body.get("content")
        text = _text(content, may_be_empty=ended in ("end_turn", "stop_sequence"))
        return text_result(
            reply,
            paid,
            text,
            ending=_refusal(body) if ended == "refusal" else _ENDINGS.get(ended or ""),
            has_reasoning=_has_reasoning(content),
            where="content[].text",
        )

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _blocks(call: InferenceRequest) -> list[JsonObject]:
    """Files come first, as Anthropic advises; an empty text block would be refused."""
    files: list[JsonObject] = [
        {
            "type": "document" if file.media_type == PDF else "image",
            "source": {"type": "base64", "media_type": file.media_type, "data": file.base64},
        }
        for file in call.files
    ]
    return [*files, {"type": "text", "text": call.text}] if call.text else files


def _system(call: InferenceRequest) -> str | None:
    wanted = call.response_format
    if wanted is None or _wire_schema(call) is not None:
        return call.instructions
    asked = JSON_INSTRUCTIONS if wanted.schema is None else f"{JSON_INSTRUCTIONS} {schema_in_words(wanted.schema)}"
    return f"{call.instructions}\n\n{asked}" if call.instructions else asked


def _wire_schema(call: InferenceRequest) -> JsonObject | None:
    wanted = call.response_format
    return None if wanted is None or wanted.schema is None else wire_schema(wanted, Dialect.MESSAGES).schema


def _text(content: Any, *, may_be_empty: bool) -> str | None:
    if not isinstance(content, list):
        return None
    blocks = [
        block["text"]
        for block in content
        if isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)
    ]
    return "".join(blocks) if blocks or may_be_empty else None


def _refusal(body: JsonObject) -> Ending:
    """The service's own words for why the model refused."""
    explanation = string(object_or_empty(body.get("stop_details")).get("explanation"))
    return replace(REFUSED, what=f"{REFUSED.what}: {explanation[:500]}") if explanation else REFUSED


def _has_reasoning(content: Any) -> bool:
    blocks = content if isinstance(content, list) else ()
    return any(isinstance(block, dict) and block.get("type") in _REASONING for block in blocks)


def _usage(body: JsonObject, reply: HttpReply) -> TokenUsage:
    """Anthropic's `input_tokens` leave out what was read from or written to the cache; ours have it in."""
    block = body.get("usage")
    uncached, answered = count(block, "input_tokens"), count(block, "output_tokens")
    read, written = count(block, "cache_read_input_tokens"), count(block, "cache_creation_input_tokens")
    given = sum_of(uncached, read or 0, written or 0)
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=answered,
        total_tokens=sum_of(given, answered),
        cache_read_tokens=read,
        cache_creation_tokens=written,
        reasoning_tokens=count(block, "output_tokens_details", "thinking_tokens"),
    )
    return with_others(usage, body, "usage", _COUNTED, reply)
