"""Google Gemini's embeddings, native: one content, or a batch of them. The model stands in the path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_batch.devgateway.ask import Ask, JsonObject, Kind, Turn
from gateway_batch.devgateway.refusals import Refusal, gemini_error, invalid
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.embeddings import check_dimensions
from gateway_batch.devgateway.wire.format import Exchange
from gateway_batch.devgateway.wire.gemini import either, parts_of

_MOST_REQUESTS = 100


@dataclass(frozen=True, slots=True)
class GeminiEmbeddings:
    """`:embedContent`, or `:batchEmbedContents`, whose requests have one width together."""

    batch: bool = False
    kind: Kind = Kind.EMBEDDINGS
    is_metered: bool = True

    @property
    def api_type(self) -> str:
        """By the method."""
        return "gemini/v1/batchEmbedContents" if self.batch else "gemini/v1/embedContent"

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: each content is one text."""
        model = parameters["model"]
        requests = fields.objects(body, "requests") if self.batch else [body]
        if len(requests) > _MOST_REQUESTS:
            raise invalid(f"'requests' must have at most {_MOST_REQUESTS} requests.")
        if others := {str(found).removeprefix("models/") for request in requests if (found := request.get("model"))} - {
            model
        }:
            raise invalid(f"'requests[].model' must be the model of the path, {model!r}, not {min(others)!r}.")
        widths = {_width(request) for request in requests}
        if len(widths) > 1:
            raise invalid("'requests[].outputDimensionality' must be the same in all requests.")
        return Ask(model=model, turns=tuple(map(_turn, requests)), dimensions=widths.pop())

    def body(self, exchange: Exchange) -> JsonObject:
        """The vectors, in the order of the requests."""
        vectors: list[JsonObject] = [{"values": list(vector)} for vector in exchange.answer.vectors]
        found: JsonObject = {"embeddings": vectors} if self.batch else {"embedding": vectors[0]}
        return {**found, "usageMetadata": {"promptTokenCount": exchange.answer.tokens.input_tokens}}

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Embeddings are not streamed, and no request can ask for it."""
        raise NotImplementedError

    def stream_type(self, ask: Ask) -> str:
        """Embeddings are not streamed."""
        raise NotImplementedError

    def error(self, refusal: Refusal) -> JsonObject:
        """With the Google SDK's `error`."""
        return gemini_error(refusal)


def _width(request: JsonObject) -> int | None:
    """As newer requests say it in a config of their own, or by themselves."""
    config: Any = either(request, "embedContentConfig", "embed_content_config")
    for place in (request, config if isinstance(config, dict) else {}):
        for name in ("outputDimensionality", "output_dimensionality"):
            if (width := check_dimensions(place, name)) is not None:
                return width
    return None


def _turn(request: JsonObject) -> Turn:
    content = fields.optional_object(request, "content")
    if not content:
        raise invalid("'content' is required and must be an object with 'parts'.")
    return Turn("user", parts_of(content)[0])
