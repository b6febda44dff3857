"""Embeddings, the unified route."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_batch.devgateway.ask import Ask, JsonObject, Kind, Turn
from gateway_batch.devgateway.catalogue import EMBEDDING_WIDTH
from gateway_batch.devgateway.models.tokens import decode
from gateway_batch.devgateway.refusals import Refusal, invalid, openai_error
from gateway_batch.devgateway.wire import fields
from gateway_batch.devgateway.wire.format import Exchange

_MOST_INPUTS = 2048
_INPUT = "'input' is required and must be a string, a list of strings, a list of tokens, or a list of such lists."


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector per input."""

    api_type: str = "mlflow/v1/embeddings"
    kind: Kind = Kind.EMBEDDINGS
    is_metered: bool = True

    def read(self, body: JsonObject, parameters: Mapping[str, str]) -> Ask:
        """The request: one text or a list of texts, each of them as it is or as tokens."""
        if body.get("encoding_format") not in (None, "float", "base64"):
            raise invalid("'encoding_format' must be float or base64.")
        return Ask(
            model=fields.required_text(body, "model"),
            turns=tuple(_turn(text) for text in _inputs(body.get("input"))),
            dimensions=check_dimensions(body, "dimensions"),
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


def check_dimensions(body: Mapping[str, Any], name: str) -> int | None:
    """The width that is asked for, None if it is left to the model.

    Raises:
        Refusal: 400, it is more than the stand-in has.
    """
    dimensions = fields.positive_integer(body, name)
    if dimensions is not None and dimensions > EMBEDDING_WIDTH:
        raise invalid(f"'{name}' must be at most {EMBEDDING_WIDTH}.")
    return dimensions


def _inputs(value: object) -> list[str | list[int]]:
    inputs: Any = [value] if isinstance(value, str) or _is_tokens(value) else value
    if not isinstance(inputs, list) or not inputs:
        raise invalid(_INPUT)
    if not (all(isinstance(text, str) for text in inputs) or all(map(_is_tokens, inputs))):
        raise invalid(_INPUT)
    if len(inputs) > _MOST_INPUTS:
        raise invalid(f"'input' must have at most {_MOST_INPUTS} texts.")
    return inputs


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int and 0 <= token < 2**31 for token in value)


def _turn(text: str | list[int]) -> Turn:
    return Turn("user", text) if isinstance(text, str) else Turn("user", decode(text), len(text))


def _packed(vector: list[float]) -> str:
    """Little-endian 32-bit floats in base64, as the OpenAI SDK asks for by default."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
