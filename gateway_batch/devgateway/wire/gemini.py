"""Google Gemini's generateContent, native. The model stands in the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway_batch.devgateway.ask import Ask, Finish, JsonObject, JsonSchema, Kind, TokenCounts, Turn
from gateway_batch.devgateway.refusals import Refusal, gemini_error, invalid
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange, pieces, sse

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

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request, with `generationConfig`."""
        written = "generationConfig" if "generationConfig" in body else "generation_config"
        config = fields.optional_object(body, written)
        fields.in_range(config, "temperature", 0, 2)
        turns, images = _turns(body)
        return Ask(
            model=parameters["model"],
            turns=turns,
            images=images,
            max_tokens=fields.positive_integer(config, "maxOutputTokens")
            or fields.positive_integer(config, "max_output_tokens"),
            stop=fields.stop_marks(_either(config, "stopSequences", "stop_sequences")),
            schema=_schema(config),
            stream=self.stream,
            sse=parameters.get("alt") == "sse",
        )

    def body(self, exchange: Exchange) -> JsonObject:
        """A `GenerateContentResponse`."""
        return _chunk(exchange, exchange.answer.text, last=True)

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Responses with parts of the text: server-sent events, or the elements of one JSON array."""
        texts = pieces(exchange.answer.text) or [""]
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


def _either(body: Mapping[str, Any], camel: str, snake: str) -> Any:
    return body.get(camel, body.get(snake))


def _turns(body: JsonObject) -> tuple[tuple[Turn, ...], int]:
    turns, images = [], 0
    system = _either(body, "systemInstruction", "system_instruction")
    if isinstance(system, dict):
        turns.append(Turn("system", _parts(system)[0]))
    for content in fields.objects(body, "contents"):
        role = fields.role_of({"role": content.get("role") or "user"}, _ROLES, "contents")
        text, pictures = _parts(content)
        turns.append(Turn(role, text))
        images += pictures
    return tuple(turns), images


def _parts(content: JsonObject) -> tuple[str, int]:
    parts = fields.objects(content, "parts")
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "\n".join(texts), sum(any(name in part for name in _MEDIA) for part in parts)


def _schema(config: JsonObject) -> JsonSchema | None:
    is_json = _either(config, "responseMimeType", "response_mime_type") == "application/json"
    plain = _either(config, "responseJsonSchema", "response_json_schema")
    google = _either(config, "responseSchema", "response_schema")
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
    candidate: JsonObject = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if last:
        candidate["finishReason"] = _FINISHES[answer.finish]
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(answer.tokens if last else TokenCounts(answer.tokens.input_tokens, 0)),
        "modelVersion": exchange.service.build,
        "responseId": exchange.number,
    }


def _usage(tokens: TokenCounts) -> JsonObject:
    return {
        "promptTokenCount": tokens.input_tokens,
        "candidatesTokenCount": tokens.output_tokens,
        "totalTokenCount": tokens.total_tokens,
    }
