"""Anthropic Messages, native."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, Turn
from gateway_batch.devgateway.refusals import Refusal, anthropic_error, invalid
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse
from gateway_batch.devgateway.wire.tools import Choice, arguments, functions, with_tools

_IMAGES = frozenset({"image", "document"})
_ROLES = {"user": "user", "assistant": "assistant"}
_STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.CONTENT_FILTER: "refusal",
}


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """Messages. Needs no `anthropic-version` header."""

    api_type: str = "anthropic/v1/messages"
    kind: Kind = Kind.CHAT
    is_metered: bool = True

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; `max_tokens` has to be there."""
        max_tokens = fields.positive_integer(body, "max_tokens")
        if max_tokens is None:
            raise invalid("max_tokens: Field required")
        fields.in_range(body, "temperature", 0, 1)
        fields.in_range(body, "top_p", 0, 1)
        asked = replace(
            _asked(body),
            max_tokens=max_tokens,
            stop=fields.stop_marks(body.get("stop_sequences")),
            schema=_schema(body),
            sampling=fields.sampling(body),
        )
        tools = fields.optional_objects(body, "tools")
        return with_tools(asked, tools, functions(tools, schema="input_schema", where="tools[]"), _choice(body, tools))

    def body(self, exchange: Exchange) -> JsonObject:
        """A `message`."""
        answer, block = exchange.answer, _block(exchange, exchange.answer.text)
        content = [] if answer.finish is Finish.CONTENT_FILTER else [block]
        return _message(exchange, content) | _ending(exchange) | {"usage": _usage(exchange)}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Anthropic's events in Anthropic's order."""
        started = {**_message(exchange, []), "usage": {**_usage(exchange), "output_tokens": 1}}
        yield _event("message_start", message=started)
        yield _event("content_block_start", index=0, content_block=_block(exchange, ""))
        yield _event("ping")
        for piece in pieces(exchange.answer.text):
            yield _event("content_block_delta", index=0, delta=_delta(exchange, piece))
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", delta=_ending(exchange), usage=_usage(exchange))
        yield _event("message_stop")

    def stream_type(self, ask: Ask) -> str:
        """Server-sent events."""
        return "text/event-stream"

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Anthropic SDK's `error`."""
        return anthropic_error(refusal)


@dataclass(frozen=True, slots=True)
class AnthropicTokenCount:
    """The tokens of a request for a message that isn't sent. Takes no `max_tokens`, and uses up none."""

    api_type: str = "anthropic/v1/messages/count_tokens"
    kind: Kind = Kind.CHAT
    is_metered: bool = False

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request."""
        tools = fields.optional_objects(body, "tools")
        return with_tools(replace(_asked(body), stream=False, count_only=True), tools, (), None)

    def body(self, exchange: Exchange) -> JsonObject:
        """The count."""
        return {"input_tokens": exchange.answer.tokens.input_tokens}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Counts are not streamed, and no request can ask for it."""
        raise NotImplementedError

    def stream_type(self, ask: Ask) -> str:
        """Counts are not streamed."""
        raise NotImplementedError

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Anthropic SDK's `error`."""
        return anthropic_error(refusal)


def _asked(body: JsonObject) -> Ask:
    turns, images, cached_turns = _turns(body)
    return Ask(
        model=fields.required_text(body, "model"),
        turns=turns,
        images=images,
        cached_turns=len(turns) if body.get("cache_control") else cached_turns,
        stream=fields.flag(body, "stream"),
    )


def _choice(body: JsonObject, tools: list[JsonObject]) -> Choice | None:
    """As `tool_choice` says; None if it leaves words to the model."""
    choice = body.get("tool_choice")
    if choice is not None and not tools:
        raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
    match choice:
        case None | {"type": "auto" | "none"}:
            return None
        case {"type": "any"}:
            return Choice()
        case {"type": "tool", "name": str(name)}:
            if name not in [tool.get("name") for tool in tools]:
                raise invalid(f"tool_choice: Tool {name!r} not found in provided tools")
            return Choice((name,), named=True)
        case {"type": "tool"}:
            raise invalid("tool_choice.tool.name: Field required")
    raise invalid("tool_choice.type must be one of auto, any, tool and none.")


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int, int]:
    """The turns, the number of their images, and that of those to be cached."""
    system, images = fields.content(body.get("system"), _IMAGES, "system")
    turns = [Turn("system", system)] if system else []
    cached = len(turns) if fields.is_marked(body.get("system")) else 0
    for message in fields.objects(body, "messages"):
        role = fields.role_of(message, _ROLES, "messages")
        text, pictures = fields.content(message.get("content"), _IMAGES, "messages[].content")
        turns.append(Turn(role, text))
        images += pictures
        if fields.is_marked(message.get("content")):
            cached = len(turns)
    return tuple(turns), images, cached


def _schema(body: JsonObject) -> JsonSchema | None:
    wanted: Any = fields.optional_object(body, "output_config").get("format", body.get("output_format"))
    match wanted:
        case None:
            return None
        case {"type": "json_schema", **rest}:
            return fields.schema_of(rest.get("schema"), "output_config.format.schema")
    raise invalid("output_config.format.type must be json_schema.")


def _message(exchange: Exchange, content: list[JsonObject]) -> JsonObject:
    return {
        "id": f"msg_{exchange.number}",
        "type": "message",
        "role": "assistant",
        "model": exchange.service.build,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _block(exchange: Exchange, text: str) -> JsonObject:
    if exchange.called is None:
        return {"type": "text", "text": text}
    return {"type": "tool_use", "id": f"toolu_{exchange.number}", "name": exchange.called, "input": arguments(text)}


def _delta(exchange: Exchange, piece: str) -> JsonObject:
    if exchange.called is None:
        return {"type": "text_delta", "text": piece}
    return {"type": "input_json_delta", "partial_json": piece}


def _ending(exchange: Exchange) -> JsonObject:
    finish = exchange.answer.finish
    calls = exchange.called is not None and finish is Finish.STOP
    return {
        "stop_reason": "tool_use" if calls else _STOP_REASONS[finish],
        "stop_sequence": exchange.answer.stopped_by,
    }


def _usage(exchange: Exchange) -> JsonObject:
    tokens = exchange.answer.tokens
    return {
        "input_tokens": tokens.input_tokens - tokens.cache_creation_tokens - tokens.cache_read_tokens,
        "cache_creation_input_tokens": tokens.cache_creation_tokens,
        "cache_read_input_tokens": tokens.cache_read_tokens,
        "output_tokens": tokens.output_tokens,
    }


def _event(name: str, **data: Any) -> bytes:
    return sse({"type": name, **data}, name)
