"""OpenAI chat completions, the unified route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, TokenCounts, Turn
from gateway_batch.devgateway.refusals import Refusal, invalid, openai_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse

_IMAGES = frozenset({"image_url", "input_audio", "file"})
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
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

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; refuses `store` and `tools[].function.strict`, as Databricks does."""
        _check_refused(body)
        turns, images = _turns(body)
        return Ask(
            model=fields.required_text(body, "model"),
            turns=turns,
            images=images,
            max_tokens=fields.positive_integer(body, "max_tokens")
            or fields.positive_integer(body, "max_completion_tokens"),
            stop=fields.stop_marks(body.get("stop")),
            schema=response_schema(body.get("response_format")),
            stream=fields.flag(body, "stream"),
            include_usage=bool(fields.optional_object(body, "stream_options").get("include_usage")),
        )

    def body(self, exchange: Exchange) -> JsonObject:
        """A `chat.completion`."""
        answer = exchange.answer
        message = {"role": "assistant", "content": _content(exchange), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISHES[answer.finish]}
        return {**_head(exchange, "chat.completion"), "choices": [choice], "usage": usage(answer.tokens)}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Chunks, the finish reason, the token counts if asked for, and `[DONE]`."""
        head = _head(exchange, "chat.completion.chunk")
        usage_so_far = {"usage": None} if exchange.ask.include_usage else {}
        blocks = exchange.service.answers_in_blocks

        def chunk(delta: JsonObject, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return sse({**head, "choices": [choice], **usage_so_far})

        yield chunk({"role": "assistant", "content": [] if blocks else ""})
        for piece in pieces(exchange.answer.text):
            yield chunk({"content": [{"type": "text", "text": piece}] if blocks else piece})
        yield chunk({}, _FINISHES[exchange.answer.finish])
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
    """Token counts in this format's words."""
    return {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": tokens.total_tokens,
    }


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


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int]:
    turns, images = [], 0
    for message in fields.objects(body, "messages"):
        role = fields.role_of(message, _ROLES, "messages")
        text, pictures = fields.content(message.get("content"), _IMAGES, "messages[].content")
        turns.append(Turn(role, text))
        images += pictures
    return tuple(turns), images


def _head(exchange: Exchange, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-{exchange.number}",
        "object": kind,
        "created": exchange.created,
        "model": exchange.service.build,
    }


def _content(exchange: Exchange) -> str | list[JsonObject]:
    if not exchange.service.answers_in_blocks:
        return exchange.answer.text
    thought = {"type": "summary_text", "text": "A stand-in does not reason."}
    return [{"type": "reasoning", "summary": [thought]}, {"type": "text", "text": exchange.answer.text}]
