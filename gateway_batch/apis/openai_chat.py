"""OpenAI-compatible chat completions: Databricks' unified API and most other servers."""

from __future__ import annotations

import re
from typing import Any

from gateway_batch.apis import prompt_cache
from gateway_batch.apis.endings import CALLED, CUT, FILTERED, REFUSED, Ending, broken, text_result
from gateway_batch.apis.files import PDF, check_files
from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.parameters import parameters_for_call, unsupported_names
from gateway_batch.apis.replies import (
    as_count,
    body_error,
    check_error,
    check_policy,
    count,
    json_object,
    object_or_empty,
    string,
    sum_of,
)
from gateway_batch.apis.requests import json_request
from gateway_batch.apis.wire_schemas import wire_schema
from gateway_batch.errors import ErrorKind
from gateway_batch.types import (
    File,
    HttpReply,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    JsonObject,
    ResponseFormat,
    Service,
    Task,
    TokenUsage,
)

_WHERE = "choices[0].message.content"
_ENDINGS = {"length": CUT, "model_length": CUT, "content_filter": FILTERED}
_BROKEN = frozenset({"abort", "aborted", "cancelled", "error", "insufficient_system_resource", "network_error"})
_THOUGHTS = re.compile(r"\s*<think>(?:.*?</think>\s*|.*)", re.DOTALL)
_COUNTED = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.cache_write_tokens",
        "completion_tokens_details.reasoning_tokens",
    }
)


class OpenAIChat:
    """Chat completions. The prompt goes out as one user message, instructions before it as a system message."""

    task = Task.CHAT
    reserved = frozenset({"model", "messages", "stream", "n"})
    dialect: Dialect | None = Dialect.CHAT
    unsupported = unsupported_names(Dialect.CHAT)

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{model, messages, ...parameters, response_format}`."""
        if call.files:
            check_files(call.files, Dialect.CHAT)
        messages: list[JsonObject] = [{"role": "user", "content": _parts(call) if call.files else call.text}]
        body: JsonObject = {
            "model": service.model,
            "messages": messages,
            **parameters_for_call(call.parameters, Dialect.CHAT, service),
        }
        mark = prompt_cache.taken_out(body, call) if prompt_cache.PARAMETER in body else None
        if call.instructions is not None:
            system = call.instructions if mark is None else prompt_cache.marked(call.instructions, mark)
            messages.insert(0, {"role": "system", "content": system})
        if call.response_format is not None:
            body["response_format"] = _format(call.response_format)
        return json_request(service, body)

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The first choice's text; content blocks (gpt-oss) are joined from those of type `text`."""
        body = json_object(reply)
        choice = _first_choice(body)
        ended = string(choice.get("finish_reason"))
        paid = InferenceResult("", usage=_usage(body, reply), model=string(body.get("model")), finish_reason=ended)
        check_policy(body, reply, paid)
        if ended == "error":  # a router's word for its provider's
            check_error(choice, reply, paid)
            raise body_error(reply, ErrorKind.SERVER, "the provider ended the answer with an error", paid)
        message, ending = choice.get("message"), _ending(ended)
        if not isinstance(message, dict):
            check_error(body, reply, paid)
            return text_result(reply, paid, None, ending=ending, has_reasoning=False, where=_WHERE)
        text, has_reasoning = _text(message.get("content")), False
        if not text:
            check_error(body, reply, paid)
            ending, has_reasoning = ending or _unsaid(message), _has_reasoning(message)
        return text_result(
            reply,
            paid,
            text,
            ending=ending,
            has_reasoning=has_reasoning,
            where=_WHERE,
            logprobs=choice.get("logprobs") if text else None,
        )

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _parts(call: InferenceRequest) -> list[JsonObject]:
    return [{"type": "text", "text": call.text}, *map(_part, call.files)]


def _part(file: File) -> JsonObject:
    if file.media_type == PDF:
        return {"type": "file", "file": {"filename": "document.pdf", "file_data": file.data_url}}
    return {"type": "image_url", "image_url": {"url": file.data_url}}


def _format(wanted: ResponseFormat) -> JsonObject:
    if wanted.schema is None:
        return {"type": "json_object"}
    wire = wire_schema(wanted, Dialect.CHAT)
    schema = {"name": wanted.name, "strict": wire.strict, "schema": wire.schema}
    return {"type": "json_schema", "json_schema": schema}


def _text(content: Any) -> str | None:
    """The answer in a message's content: without the thoughts that some servers leave at its begin."""
    if isinstance(content, str):
        thoughts = _THOUGHTS.match(content)
        return content[thoughts.end() :] if thoughts else content
    if not isinstance(content, list):
        return None
    blocks = [block["text"] for block in content if _is_text_block(block)]
    return "".join(blocks) if blocks else None


def _is_text_block(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _first_choice(body: JsonObject) -> JsonObject:
    """An empty one, where the answer has none."""
    choices = body.get("choices")
    return object_or_empty(choices[0]) if isinstance(choices, list) and choices else {}


def _ending(reason: str | None) -> Ending | None:
    return broken(reason) if reason in _BROKEN else _ENDINGS.get(reason or "")


def _unsaid(message: JsonObject) -> Ending | None:
    """What a message has in the place of text."""
    if message.get("refusal"):
        return REFUSED
    return CALLED if message.get("tool_calls") else None


def _has_reasoning(message: JsonObject) -> bool:
    content = message.get("content")
    if isinstance(content, str) and _THOUGHTS.match(content):
        return True
    return bool(message.get("reasoning_content") or message.get("reasoning"))


def _usage(body: JsonObject, reply: HttpReply) -> TokenUsage:
    """Tokens as reported; of the output are those, too, that only the total has, as reasoning is with some services."""
    block = object_or_empty(body.get("usage"))
    counts = {name: as_count(value) for name, value in block.items()}
    given, spoken, total = counts.get("prompt_tokens"), counts.get("completion_tokens"), counts.get("total_tokens")
    of_prompt, answered = block.get("prompt_tokens_details"), spoken
    thought = count(block.get("completion_tokens_details"), "reasoning_tokens")
    if spoken is not None and thought is not None and thought > spoken:
        answered = spoken + thought
    if given is not None and spoken is not None and total is not None:
        answered = max(spoken, total - given)
    read, written = count(of_prompt, "cached_tokens"), counts.get("cache_creation_input_tokens")
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=answered,
        total_tokens=sum_of(given, answered) if total is None else total,
        cache_read_tokens=counts.get("cache_read_input_tokens") if read is None else read,
        cache_creation_tokens=count(of_prompt, "cache_write_tokens") if written is None else written,
        reasoning_tokens=thought,
    )
    return with_others(usage, body, "usage", _COUNTED, reply)
