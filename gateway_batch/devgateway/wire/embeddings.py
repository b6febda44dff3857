"""Embeddings, the unified route."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway_batch.devgateway.ask import Ask, JsonObject, Kind, Turn
from gateway_batch.devgateway.catalogue import EMBEDDING_WIDTH
from gateway_batch.devgateway.refusals import Refusal, invalid, openai_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange

_MOST_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input."""

    api_type: str = "mlflow/v1/embeddings"
    kind: Kind = Kind.EMBEDDINGS

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: one text or a list of texts."""
        dimensions = fields.positive_integer(body, "dimensions")
        if dimensions is not None and dimensions > EMBEDDING_WIDTH:
            raise invalid(f"'dimensions' must be at most {EMBEDDING_WIDTH}.")
        if body.get("encoding_format") not in (None, "float", "base64"):
            raise invalid("'encoding_format' must be float or base64.")
        return Ask(
            model=fields.required_text(body, "model"),
            turns=tuple(Turn("user", text) for text in _inputs(body.get("input"))),
            dimensions=dimensions,
            base64=body.get("encoding_format") == "base64",
        )

    def body(self, exchange: Exchange) -> JsonObject:
        """A list of embeddings, in the order of the inputs."""
        write = _packed if exchange.ask.base64 else list
        data = [
            {"object": "embedding", "index": index, "embedding": write(vector)}
            for index, vector in enumerate(exchange.answer.vectors)
        ]
        tokens = exchange.answer.tokens
        usage = {"prompt_tokens": tokens.input_tokens, "total_tokens": tokens.total_tokens}
        return {
            "id": exchange.number,
            "object": "list",
            "data": data,
            "model": exchange.service.build,
            "usage": usage,
        }

    def events(self, exchange: Exchange) -> Iterator[bytes]:
        """Embeddings are not streamed, and no request can ask for it."""
        raise NotImplementedError

    def stream_type(self, ask: Ask) -> str:
        """Embeddings are not streamed."""
        raise NotImplementedError

    def error(self, refusal: Refusal) -> JsonObject:
        """With the OpenAI SDK's `error`."""
        return openai_error(refusal)


def _inputs(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise invalid("'input' is required and must be a string or a non-empty list of strings.")
    if len(texts) > _MOST_INPUTS:
        raise invalid(f"'input' must have at most {_MOST_INPUTS} texts.")
    return texts


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as the OpenAI SDK asks for by default."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
