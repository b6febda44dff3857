"""OpenAI chat completions, the unified route."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, TokenCounts, Turn
from gateway_batch.devgateway.refusals import Refusal, invalid, openai_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse
from gateway_batch.devgateway.wire.tools import Choice, functions, with_tools

_IMAGES = frozenset({"image_url", "input_audio", "file"})
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SURE = 0.95
_WHERE = "tools[].function"
_FINISHES = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.CONTENT_FILTER: "content_filter",
}


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """Chat completions under either prefix."""

    api_type: str = "mlflow/v1/chat/completions"
    kind: Kind = Kind.CHAT
    is_metered: bool = True

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; refuses `store` and `tools[].function.strict`, as Databricks does."""
        _check_refused(body)
        turns, images, cached_turns = _turns(body)
        ask = Ask(
            model=fields.required_text(body, "model"),
            turns=turns,
            images=images,
            cached_turns=cached_turns,
            max_tokens=fields.positive_integer(body, "max_tokens")
            or fields.positive_integer(body, "max_completion_tokens"),
            stop=fields.stop_marks(body.get("stop")),
            schema=response_schema(body.get("response_format")),
            sampling=fields.sampling(body),
            stream=fields.flag(body, "stream"),
            logprobs=fields.flag(body, "logprobs"),
            include_usage=bool(fields.optional_object(body, "stream_options").get("include_usage")),
        )
        tools = fields.optional_objects(body, "tools")
        return with_tools(ask, tools, functions(_defined(tools), schema="parameters", where=_WHERE), _choice(body))

    def body(self, exchange: Exchange) -> JsonObject:
        """A `chat.completion`."""
        answer = exchange.answer
        message = {"role": "assistant", "content": _content(exchange), "refusal": None}
        if exchange.called is not None:
            message |= {"content": None, "tool_calls": [_call(exchange, answer.text)]}
        logprobs = _logprobs(answer.text) if exchange.ask.logprobs else None
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _finish(exchange)}
        return {**_head(exchange, "chat.completion"), "choices": [choice], "usage": usage(answer.tokens)}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Chunks, the finish reason, the token counts if asked for, and `[DONE]`."""
        head = _head(exchange, "chat.completion.chunk")
        usage_so_far = {"usage": None} if exchange.ask.include_usage else {}

        def chunk(delta: JsonObject, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return sse({**head, "choices": [choice], **usage_so_far})

        for delta in _deltas(exchange):
            yield chunk(delta)
        yield chunk({}, _finish(exchange))
        if exchange.ask.include_usage:
            yield sse({**head, "choices": [], "usage": usage(exchange.answer.tokens)})
        yield b"data: [DONE]\n\n"

    def stream_type(self, ask: Ask) -> str:
        """Server-sent events."""
        return "text/event-stream"

    def error(self, refusal: Refusal) -> JsonObject:
        """With the OpenAI SDK's `error`."""
        return openai_error(refusal)


def usage(tokens: TokenCounts) -> JsonObject:
    """Token counts in this format's words; those of the prompt cache where it had a part."""
    counts: JsonObject = {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": tokens.total_tokens,
    }
    if tokens.cache_read_tokens or tokens.cache_creation_tokens:
        counts["cache_read_input_tokens"] = tokens.cache_read_tokens
        counts["cache_creation_input_tokens"] = tokens.cache_creation_tokens
    return counts


def response_schema(value: Any) -> JsonSchema | None:
    """The schema that a `response_format` asks for, None for text."""
    match value:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return fields.ANY_OBJECT
        case {"type": "json_schema", "json_schema": {"name": str(), **rest}}:
            return fields.schema_of(rest.get("schema"), "response_format.json_schema.schema")
        case {"type": "json_schema"}:
            raise invalid("'response_format.json_schema' must be an object with 'name' and 'schema'.")
    raise invalid("'response_format.type' must be one of text, json_object and json_schema.")


def _defined(tools: list[JsonObject]) -> list[JsonObject]:
    return [function for tool in tools if isinstance(function := tool.get("function"), dict)]


def _choice(body: JsonObject) -> Choice | None:
    """As `tool_choice` says; None if it leaves words to the model."""
    choice, names = body.get("tool_choice"), _names(body.get("tools") or [])
    if choice is not None and not body.get("tools"):
        raise invalid("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
    match choice:
        case None | "auto" | "none":
            return None
        case "required":
            return Choice()
        case {"type": "function" | "custom" as kind, **named} if isinstance(named.get(kind), dict):
            return _chosen([named], names, named=True)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [*allowed]}}:
            chosen = _chosen(allowed, names, named=False)
            return chosen if mode == "required" else None
    raise invalid(
        "Invalid value for 'tool_choice': it must be none, auto, required, or an object that names a function, such as "
        '{"type": "function", "function": {"name": "my_function"}}.'
    )


def _names(tools: list[JsonObject]) -> list[object]:
    return [named.get("name") for tool in tools for named in tool.values() if isinstance(named, dict)]


def _chosen(chosen: list[Any], names: list[object], *, named: bool) -> Choice:
    wanted = _names([tool for tool in chosen if isinstance(tool, dict)])
    for name in wanted or [None]:
        if name not in names:
            raise invalid(f"Invalid value for 'tool_choice': function {name!r} was not found in 'tools'.")
    return Choice(tuple(map(str, wanted)), named)


def _check_refused(body: JsonObject) -> None:
    if "store" in body:
        raise invalid("Unrecognized request argument supplied: store")
    for tool in fields.optional_objects(body, "tools"):
        if isinstance(function := tool.get("function"), dict) and "strict" in function:
            raise invalid("Unrecognized request argument supplied: tools[].function.strict")
    if body.get("n") not in (None, 1):
        raise invalid("'n' must be 1.")
    fields.in_range(body, "temperature", 0, 2)
    fields.in_range(body, "top_p", 0, 1)


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int, int]:
    """The turns, the number of their images, and that of those to be cached."""
    turns, images, cached = [], 0, 0
    for message in fields.objects(body, "messages"):
        role = fields.role_of(message, _ROLES, "messages")
        text, pictures = fields.content(message.get("content"), _IMAGES, "messages[].content")
        turns.append(Turn(role, text))
        images += pictures
        if fields.is_marked(message.get("content")):
            cached = len(turns)
    return tuple(turns), images, cached


def _head(exchange: Exchange, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{exchange.number}",
        "object": kind,
        "created": exchange.created,
        "model": exchange.service.build,
    }


def _logprobs(text: str) -> JsonObject:
    """The stand-ins are as sure of each part of their text."""
    tokens = [
        {"token": part, "logprob": math.log(_SURE), "bytes": list(part.encode()), "top_logprobs": []}
        for part in pieces(text)
    ]
    return {"content": tokens, "refusal": None}


def _finish(exchange: Exchange) -> str:
    """OpenAI has `tool_calls` for a call that the model chose, and `stop` for one that the request named."""
    finish = exchange.answer.finish
    if exchange.called is None or exchange.ask.tool_named or finish is Finish.LENGTH:
        return _FINISHES[finish]
    return "tool_calls"


def _call(exchange: Exchange, arguments: str) -> JsonObject:
    function = {"name": exchange.called, "arguments": arguments}
    return {"id": f"call_{exchange.number}", "type": "function", "function": function}


def _deltas(exchange: Exchange) -> Iterator[JsonObject]:
    """What the messages of a stream add, one after the other."""
    texts = pieces(exchange.answer.text)
    if exchange.called is not None:
        yield {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **_call(exchange, "")}]}
        yield from ({"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in texts)
    elif exchange.service.answers_in_blocks:
        yield {"role": "assistant", "content": []}
        yield from ({"content": [{"type": "text", "text": text}]} for text in texts)
    else:
        yield {"role": "assistant", "content": ""}
        yield from ({"content": text} for text in texts)


def _content(exchange: Exchange) -> str | list[JsonObject]:
    if not exchange.service.answers_in_blocks:
        return exchange.answer.text
    thought = {"type": "summary_text", "text": f"{exchange.service.build} does not reason."}
    return [{"type": "reasoning", "summary": [thought]}, {"type": "text", "text": exchange.answer.text}]
