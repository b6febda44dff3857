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


@dataclass(frozen=True, slots=True)
class Gemini:
    """`:generateContent` or `:streamGenerateContent`. Fields may be in camelCase or snake_case."""

    stream: bool = False
    api_type: str = "gemini/v1/generateContent"
    kind: Kind = Kind.CHAT

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request, with `generationConfig`."""
        config = _either(body, "generationConfig", "generation_config") or {}
        if not isinstance(config, dict):
            raise invalid("'generationConfig' must be an object.")
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
        if (role := _ROLES.get(content.get("role") or "user")) is None:
            raise invalid(f"Please use a valid role: user, model. Not {content.get('role')!r}.")
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
    return fields.schema_of(plain, "responseJsonSchema") if plain is not None else json_schema(google)


def json_schema(google: Any) -> JsonSchema:
    """A JSON schema from Google's dialect: types in capitals, `nullable`, bounds as strings."""
    found = dict(fields.schema_of(google, "responseSchema"))
    kind = found.get("type")
    if isinstance(kind, str):
        found["type"] = [kind.lower(), "null"] if found.pop("nullable", False) else kind.lower()
    for name in _NAMED_SCHEMAS:
        if isinstance(found.get(name), dict):
            found[name] = json_schema(found[name])
    for name in _LISTED_SCHEMAS:
        if isinstance(found.get(name), list):
            found[name] = [json_schema(part) for part in found[name]]
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {name: json_schema(part) for name, part in properties.items()}
    for bound in ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"):
        if isinstance(found.get(bound), str):
            found[bound] = int(found[bound])
    return found


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
