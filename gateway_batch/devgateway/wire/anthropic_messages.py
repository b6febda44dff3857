"""Anthropic Messages, native."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, Turn
from gateway_batch.devgateway.refusals import Refusal, anthropic_error, invalid
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse

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

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; `max_tokens` has to be there."""
        max_tokens = fields.positive_integer(body, "max_tokens")
        if max_tokens is None:
            raise invalid("max_tokens: Field required")
        fields.in_range(body, "temperature", 0, 1)
        fields.in_range(body, "top_p", 0, 1)
        turns, images = _turns(body)
        return Ask(
            model=fields.required_text(body, "model"),
            turns=turns,
            images=images,
            max_tokens=max_tokens,
            stop=fields.stop_marks(body.get("stop_sequences")),
            schema=_schema(body),
            stream=fields.flag(body, "stream"),
        )

    def body(self, exchange: Exchange) -> JsonObject:
        """A `message`."""
        answer, text = exchange.answer, {"type": "text", "text": exchange.answer.text}
        content = [] if answer.finish is Finish.CONTENT_FILTER else [text]
        return _message(exchange, content) | _ending(exchange) | {"usage": _usage(exchange)}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Anthropic's events in Anthropic's order."""
        started = {**_message(exchange, []), "usage": {**_usage(exchange), "output_tokens": 1}}
        yield _event("message_start", message=started)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield _event("ping")
        for piece in pieces(exchange.answer.text):
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=0)
        yield _event("message_delta", delta=_ending(exchange), usage=_usage(exchange))
        yield _event("message_stop")

    def stream_type(self, ask: Ask) -> str:
        """Server-sent events."""
        return "text/event-stream"

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Anthropic SDK's `error`."""
        return anthropic_error(refusal)


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int]:
    system, images = fields.content(body.get("system"), _IMAGES, "system")
    turns = [Turn("system", system)] if system else []
    for message in fields.objects(body, "messages"):
        role = fields.role_of(message, _ROLES, "messages")
        text, pictures = fields.content(message.get("content"), _IMAGES, "messages[].content")
        turns.append(Turn(role, text))
        images += pictures
    return tuple(turns), images


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


def _ending(exchange: Exchange) -> JsonObject:
    return {
        "stop_reason": _STOP_REASONS[exchange.answer.finish],
        "stop_sequence": exchange.answer.stopped_by,
    }


def _usage(exchange: Exchange) -> JsonObject:
    tokens = exchange.answer.tokens
    return {
        "input_tokens": tokens.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": tokens.output_tokens,
    }


def _event(name: str, **data: Any) -> bytes:
    return sse({"type": name, **data}, name)
