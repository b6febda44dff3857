"""Google Gemini's generateContent, native. The model stands in the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, TokenCounts, Turn
from gateway_batch.devgateway.refusals import Refusal, gemini_error, invalid
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse
from gateway_batch.devgateway.wire.tools import Choice, Tool, arguments, functions, with_tools

_ROLES = {"user": "user", "model": "assistant", "function": "tool"}
_FINISHES = {
    Finish.STOP: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.CONTENT_FILTER: "SAFETY",
}
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")
_NAMED_SCHEMAS = ("items", "additionalProperties", "not")
_LISTED_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_BOUNDS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


@dataclass(frozen=True, slots=True)
class Gemini:
    """`:generateContent` or `:streamGenerateContent`. Fields may be in camelCase or snake_case."""

    stream: bool = False
    api_type: str = "gemini/v1/generateContent"
    kind: Kind = Kind.CHAT
    is_metered: bool = True

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request, with `generationConfig`."""
        written = "generationConfig" if "generationConfig" in body else "generation_config"
        config = fields.optional_object(body, written)
        fields.in_range(config, "temperature", 0, 2)
        ask = replace(
            _asked(body, parameters),
            max_tokens=fields.positive_integer(config, "maxOutputTokens")
            or fields.positive_integer(config, "max_output_tokens"),
            stop=fields.stop_marks(either(config, "stopSequences", "stop_sequences")),
            schema=_schema(config),
            sampling=fields.sampling(config),
            stream=self.stream,
            sse=parameters.get("alt") == "sse",
        )
        tools = fields.optional_objects(body, "tools")
        offered = _functions(tools)
        return with_tools(ask, tools, offered, _choice(body, offered))

    def body(self, exchange: Exchange) -> JsonObject:
        """A `GenerateContentResponse`."""
        return _chunk(exchange, exchange.answer.text, last=True)

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Responses with parts of the text: server-sent events, or the elements of one JSON array."""
        whole = exchange.answer.text
        texts = [whole] if exchange.called is not None else pieces(whole) or [""]
        for place, text in enumerate(texts, 1):
            chunk = _chunk(exchange, text, last=place == len(texts))
            if exchange.ask.sse:
                yield sse(chunk)
            else:
                yield (b"[" if place == 1 else b",\n") + orjson.dumps(chunk)
        if not exchange.ask.sse:
            yield b"]\n"

    def stream_type(self, ask: Ask) -> str:
        """Server-sent events with `?alt=sse`, JSON without."""
        return "text/event-stream" if ask.sse else "application/json"

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Google SDK's `error`."""
        return gemini_error(refusal)


@dataclass(frozen=True, slots=True)
class GeminiTokenCount:
    """`:countTokens`: the tokens of contents, or of a whole request for an answer. Uses up none."""

    api_type: str = "gemini/v1/countTokens"
    kind: Kind = Kind.CHAT
    is_metered: bool = False

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: contents, or a `generateContentRequest` with them."""
        whole = either(body, "generateContentRequest", "generate_content_request")
        request = whole if isinstance(whole, dict) else body
        tools = fields.optional_objects(request, "tools")
        return with_tools(replace(_asked(request, parameters), count_only=True), tools, (), None)

    def body(self, exchange: Exchange) -> JsonObject:
        """A `CountTokensResponse`."""
        tokens = exchange.answer.tokens.input_tokens
        return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Counts are not streamed, and no request can ask for it."""
        raise NotImplementedError

    def stream_type(self, ask: Ask) -> str:
        """Counts are not streamed."""
        raise NotImplementedError

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Google SDK's `error`."""
        return gemini_error(refusal)


def _asked(body: JsonObject, parameters: Mapping[str, str]) -> Ask:
    turns, images = _turns(body)
    return Ask(model=parameters["model"], turns=turns, images=images)


def _functions(tools: list[JsonObject]) -> list[Tool]:
    """The functions that `tools` declare, their schemas in either dialect."""
    declared = [
        declaration
        for tool in tools
        for declaration in either(tool, "functionDeclarations", "function_declarations") or ()
        if isinstance(declaration, dict)
    ]
    return functions(map(_with_schema, declared), schema="parameters", where="functionDeclarations[]")


def _with_schema(declaration: JsonObject) -> JsonObject:
    plain = either(declaration, "parametersJsonSchema", "parameters_json_schema")
    return {**declaration, "parameters": json_schema(declaration.get("parameters")) if plain is None else plain}


def _choice(body: JsonObject, tools: list[Tool]) -> Choice | None:
    """As `functionCallingConfig` says; None if it leaves words to the model."""
    written = "toolConfig" if "toolConfig" in body else "tool_config"
    config = either(fields.optional_object(body, written), "functionCallingConfig", "function_calling_config") or {}
    mode = config.get("mode") if isinstance(config, dict) else config
    allowed = either(config, "allowedFunctionNames", "allowed_function_names") if isinstance(config, dict) else None
    if mode not in (None, "MODE_UNSPECIFIED", "AUTO", "NONE", "ANY", "VALIDATED"):
        raise invalid(f"Invalid value at 'tool_config.function_calling_config.mode': {mode!r}")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise invalid("Please set allowed_function_names only when function calling mode is ANY or VALIDATED.")
    if mode != "ANY":
        return None
    if not tools:
        raise invalid("Function calling mode ANY needs function_declarations in tools.")
    there = [tool.name for tool in tools]
    for name in allowed or ():
        if name not in there:
            raise invalid(f"allowed_function_names: {name!r} is not among the function_declarations.")
    return Choice(tuple(allowed), named=len(allowed) == 1) if allowed else Choice()


def either(body: Mapping[str, Any], camel: str, snake: str) -> Any:
    """A field in either spelling, None if absent."""
    return body.get(camel, body.get(snake))


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int]:
    turns, images = [], 0
    system = either(body, "systemInstruction", "system_instruction")
    if isinstance(system, dict):
        turns.append(Turn("system", parts_of(system)[0]))
    for content in fields.objects(body, "contents"):
        role = fields.role_of({"role": content.get("role") or "user"}, _ROLES, "contents")
        text, pictures = parts_of(content)
        turns.append(Turn(role, text))
        images += pictures
    return tuple(turns), images


def parts_of(content: JsonObject) -> tuple[str, int]:
    """The text of a content's parts, and the number of its images."""
    parts = fields.objects(content, "parts")
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "\n".join(texts), sum(any(name in part for name in _MEDIA) for part in parts)


def _schema(config: JsonObject) -> JsonSchema | None:
    is_json = either(config, "responseMimeType", "response_mime_type") == "application/json"
    plain = either(config, "responseJsonSchema", "response_json_schema")
    google = either(config, "responseSchema", "response_schema")
    if plain is None and google is None:
        return fields.ANY_OBJECT if is_json else None
    if not is_json:
        raise invalid("a response schema needs the response MIME type application/json.")
    if plain is not None:
        return fields.schema_of(plain, "responseJsonSchema")
    return fields.schema_of(json_schema(google), "responseSchema")


def json_schema(google: Any) -> Any:
    """A JSON schema from Google's dialect: types in capitals, `nullable`, bounds as strings."""
    if not isinstance(google, dict):
        return google
    found = {name: _translated(name, value) for name, value in google.items() if name != "nullable"}
    if google.get("nullable") and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def _translated(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name in _NAMED_SCHEMAS:
        return json_schema(value)
    if name in _LISTED_SCHEMAS and isinstance(value, list):
        return [json_schema(part) for part in value]
    if name == "properties" and isinstance(value, dict):
        return {key: json_schema(part) for key, part in value.items()}
    if name in _BOUNDS and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def _chunk(exchange: Exchange, text: str, *, last: bool) -> JsonObject:
    answer = exchange.answer
    candidate: JsonObject = {"content": {"role": "model", "parts": _said(exchange, text)}, "index": 0}
    if last:
        candidate["finishReason"] = _FINISHES[answer.finish]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer.tokens if last else TokenCounts(answer.tokens.input_tokens, 0)),
        "modelVersion": exchange.service.build,
        "responseId": exchange.number,
    }


def _said(exchange: Exchange, text: str) -> list[JsonObject]:
    """Parts of text, or the call; a call that was cut is left out."""
    if exchange.called is None:
        return [{"text": text}]
    if exchange.answer.finish is Finish.LENGTH:
        return []
    return [{"functionCall": {"name": exchange.called, "args": arguments(text)}}]


def _usage(tokens: TokenCounts) -> JsonObject:
    return {
        "promptTokenCount": tokens.input_tokens,
        "candidatesTokenCount": tokens.output_tokens,
        "totalTokenCount": tokens.total_tokens,
    }
