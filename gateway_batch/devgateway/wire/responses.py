"""OpenAI Responses, native, and the Supervisor API, which has its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, TokenCounts, Turn
from gateway_batch.devgateway.refusals import Refusal, invalid, openai_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse
from gateway_batch.devgateway.wire.tools import Choice, functions, with_tools

_IMAGES = frozenset({"input_image", "input_file", "input_audio"})
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}


@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """The native route."""

    api_type: str = "openai/v1/responses"
    kind: Kind = Kind.CHAT
    is_metered: bool = True

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: a string or typed items, with `text.format`."""
        fields.in_range(body, "temperature", 0, 2)
        fields.in_range(body, "top_p", 0, 1)
        turns, images = _turns(body)
        ask = Ask(
            model=fields.required_text(body, "model"),
            turns=turns,
            images=images,
            max_tokens=fields.positive_integer(body, "max_output_tokens"),
            schema=_schema(fields.optional_object(body, "text").get("format")),
            sampling=fields.sampling(body),
            stream=fields.flag(body, "stream"),
        )
        tools = fields.optional_objects(body, "tools")
        called = functions(
            (tool for tool in tools if tool.get("type") == "function"), schema="parameters", where="tools[]"
        )
        return with_tools(ask, tools, called, _choice(body, tools))

    def body(self, exchange: Exchange) -> JsonObject:
        """A `response`, completed or incomplete."""
        return _response(exchange, status=_status(exchange), output=[_item(exchange, exchange.answer.text)])

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """OpenAI's events in OpenAI's order."""
        return _Events(exchange).all()

    def stream_type(self, ask: Ask) -> str:
        """Server-sent events."""
        return "text/event-stream"

    def error(self, refusal: Refusal) -> JsonObject:
        """With the OpenAI SDK's `error`."""
        return openai_error(refusal)


@dataclass(frozen=True, slots=True)
class SupervisorResponses(OpenAIResponses):
    """The unified route, meant for agents. A background request is answered at once."""

    api_type: str = "mlflow/v1/responses"

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request; refuses streaming in the background, and sampling settings with tools."""
        if fields.flag(body, "stream") and fields.flag(body, "background"):
            raise invalid("'stream' and 'background' cannot both be true.")
        sampling = [name for name in ("temperature", "top_p") if body.get(name) is not None]
        if sampling and body.get("tools"):
            raise invalid(f"'{sampling[0]}' is not supported with tools.")
        return OpenAIResponses.read(self, body, parameters)


def _choice(body: JsonObject, tools: list[JsonObject]) -> Choice | None:
    """As `tool_choice` says; None if it leaves words to the model."""
    choice = body.get("tool_choice")
    match choice:
        case None | "auto" | "none":
            return None
        case "required" if tools:
            return Choice()
        case "required":
            raise invalid("Tool choice 'required' must be specified with 'tools' parameter.")
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": [*allowed]}:
            chosen = _chosen(allowed, tools, named=False)
            return chosen if mode == "required" else None
        case {"type": str()}:
            return _chosen([choice], tools, named=True)
    raise invalid("Invalid value for 'tool_choice': it must be none, auto, required, or an object with a 'type'.")


def _chosen(chosen: list[Any], tools: list[JsonObject], *, named: bool) -> Choice:
    """The functions among what was chosen; hosted tools, which have no name, are known by their type."""
    there = [_key(tool) for tool in tools]
    wanted = [_key(tool) for tool in chosen if isinstance(tool, dict)]
    for kind, name in wanted or [(None, None)]:
        if (kind, name) not in there:
            raise invalid(f"Tool choice {name or kind!r} not found in 'tools' parameter.")
    return Choice(tuple(str(name) for kind, name in wanted if kind == "function"), named)


def _key(tool: JsonObject) -> tuple[Any, Any]:
    kind = tool.get("type")
    return kind, tool.get("name") if kind in ("function", "custom") else None


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int]:
    turns, images = [], 0
    if isinstance(instructions := body.get("instructions"), str):
        turns.append(Turn("system", instructions))
    if isinstance(spoken := body.get("input"), str):
        return (*turns, Turn("user", spoken)), 0
    for item in fields.objects(body, "input"):
        if item.get("type", "message") != "message":
            turns.append(Turn("tool", str(item.get("output", ""))))
            continue
        role = fields.role_of(item, _ROLES, "input")
        _check_parts(role, item.get("content"))
        text, pictures = fields.content(item.get("content"), _IMAGES, "input[].content")
        turns.append(Turn(role, text))
        images += pictures
    return tuple(turns), images


def _check_parts(role: str, parts: object) -> None:
    """Parts are typed by role: `input_...` for what goes in, `output_text` and `refusal` for assistant turns."""
    allowed = {"output_text", "refusal"} if role == "assistant" else {"input_text", *_IMAGES}
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") not in allowed:
            raise invalid(
                f"'input': a part of a {role} turn must be one of {', '.join(sorted(allowed))}, not {part.get('type')}."
            )


def _schema(value: Any) -> JsonSchema | None:
    match value:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return fields.ANY_OBJECT
        case {"type": "json_schema", "name": str(), **rest}:
            return fields.schema_of(rest.get("schema"), "text.format.schema")
        case {"type": "json_schema"}:
            raise invalid("'text.format.name' is required.")
    raise invalid("'text.format.type' must be one of text, json_object and json_schema.")


def _status(exchange: Exchange) -> str:
    return "incomplete" if exchange.answer.finish in _INCOMPLETE else "completed"


def _response(exchange: Exchange, *, status: str, output: list[JsonObject]) -> JsonObject:
    reason = _INCOMPLETE.get(exchange.answer.finish) if status == "incomplete" else None
    running = status == "in_progress"
    return {
        "id": f"resp_{exchange.number}",
        "object": "response",
        "created_at": exchange.created,
        "status": status,
        "error": None,
        "incomplete_details": reason and {"reason": reason},
        "instructions": exchange.ask.instructions or None,
        "max_output_tokens": exchange.ask.max_tokens,
        "metadata": {},
        "model": exchange.service.build,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "temperature": None,
        "tool_choice": "auto" if exchange.called is None else {"type": "function", "name": exchange.called},
        "tools": [],
        "top_p": None,
        "usage": None if running else _usage(exchange.answer.tokens),
    }


def _usage(tokens: TokenCounts) -> JsonObject:
    return {
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.total_tokens,
    }


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": []}


def _item(exchange: Exchange, text: str) -> JsonObject:
    return _message(exchange, text) if exchange.called is None else _function_call(exchange, text)


def _function_call(exchange: Exchange, arguments: str) -> JsonObject:
    return {
        "type": "function_call",
        "id": f"fc_{exchange.number}",
        "call_id": f"call_{exchange.number}",
        "status": _status(exchange),
        "name": exchange.called,
        "arguments": arguments,
    }


def _message(exchange: Exchange, text: str) -> JsonObject:
    return {
        "type": "message",
        "id": f"msg_{exchange.number}",
        "status": _status(exchange),
        "role": "assistant",
        "content": [_part(text)],
    }


@dataclass(slots=True)
class _Events:
    """The stream of one response, numbered from 0."""

    exchange: Exchange
    _numbers: Iterator[int] = field(default_factory=count)

    def all(self) -> Iterator[bytes]:
        exchange, text = self.exchange, self.exchange.answer.text
        item, status = _item(exchange, text), _status(exchange)
        begun = _response(exchange, status="in_progress", output=[])
        yield self._event("created", response=begun)
        yield self._event("in_progress", response=begun)
        yield from self._text(item, text) if exchange.called is None else self._arguments(item, text)
        yield self._event("output_item.done", output_index=0, item=item)
        yield self._event(status, response=_response(exchange, status=status, output=[item]))

    def _text(self, item: JsonObject, text: str) -> Iterator[bytes]:
        place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        opened = {**item, "status": "in_progress", "content": []}
        yield self._event("output_item.added", output_index=0, item=opened)
        yield self._event("content_part.added", **place, part=_part(""))
        for piece in pieces(text):
            yield self._event("output_text.delta", **place, delta=piece, logprobs=[])
        yield self._event("output_text.done", **place, text=text, logprobs=[])
        yield self._event("content_part.done", **place, part=_part(text))

    def _arguments(self, item: JsonObject, text: str) -> Iterator[bytes]:
        place = {"item_id": item["id"], "output_index": 0}
        opened = {**item, "status": "in_progress", "arguments": ""}
        yield self._event("output_item.added", output_index=0, item=opened)
        for piece in pieces(text):
            yield self._event("function_call_arguments.delta", **place, delta=piece)
        yield self._event("function_call_arguments.done", **place, name=item["name"], arguments=text)

    def _event(self, name: str, /, **data: Any) -> bytes:
        kind = f"response.{name}"
        return sse({"type": kind, "sequence_number": next(self._numbers), **data}, kind)
