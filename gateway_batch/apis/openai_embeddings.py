"""OpenAI-compatible embeddings: Databricks' unified API and most other servers."""

from __future__ import annotations

import base64
import contextlib
import math
import struct
from typing import Any

from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.replies import check_error, check_policy, count, invalid_response, json_object, string
from gateway_batch.apis.requests import json_request
from gateway_batch.types import (
    EmbeddingRequest,
    HttpReply,
    HttpRequest,
    InferenceResult,
    JsonObject,
    Service,
    Task,
    TokenUsage,
)

_COUNTED = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_NUMBERS = {float, int}  # as JSON has them: a boolean is none


class OpenAIEmbeddings:
    """Embeddings, of one input or several a request."""

    task = Task.EMBEDDINGS
    reserved = frozenset({"model", "input"})
    unsupported: frozenset[str] = frozenset()
    dialect: Dialect | None = None

    def build(self, call: EmbeddingRequest, service: Service) -> HttpRequest:
        """POST `{model, input, ...parameters}`."""
        given = call.texts[0] if len(call.texts) == 1 else call.texts
        return json_request(service, {"model": service.model, "input": given, **call.parameters})

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The vectors at `data[i].embedding`, numbers or their base64, in the order of `data[i].index`.

        Where no entry has one, or all have the same, they are in order as they are.
        """
        body = json_object(reply)
        paid = InferenceResult("", usage=_usage(body, reply), model=string(body.get("model")))
        check_policy(body, reply, paid)
        check_error(body, reply, paid)
        entries = body.get("data")
        if not isinstance(entries, list) or not entries:
            raise invalid_response(reply, "no vectors at data", paid)
        indices = [count(entry, "index") for entry in entries]
        ordered = len(set(indices)) > 1
        vectors: list[list[float]] = [[]] * len(entries)
        for place, (entry, index) in enumerate(zip(entries, indices, strict=True)):
            vector = _vector(entry)
            if vector is None:
                raise invalid_response(reply, f"no vector of numbers at data[{place}].embedding", paid)
            vectors[index if ordered and index is not None and index < len(entries) else place] = vector
        if not all(vectors):
            raise invalid_response(reply, "two vectors at data have the same index", paid)
        return InferenceResult(vectors, paid.usage, paid.model)

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _vector(entry: Any) -> list[float] | None:
    match entry:
        case {"embedding": list(vector)} if vector and _NUMBERS.issuperset(map(type, vector)):
            return vector
        case {"embedding": str(text)}:  # as encoding_format asks for it: 32-bit floats, the lowest byte first
            with contextlib.suppress(ValueError, struct.error):
                data = base64.b64decode(text, validate=True)
                numbers = list(struct.unpack(f"<{len(data) // 4}f", data))
                return numbers if numbers and all(map(math.isfinite, numbers)) else None
    return None


def _usage(body: JsonObject, reply: HttpReply) -> TokenUsage:
    """Embeddings report no output: it is what the total has beyond the input, so that the two add up to it."""
    block = body.get("usage")
    given, total = count(block, "prompt_tokens"), count(block, "total_tokens")
    given, total = total if given is None else given, given if total is None else total
    output = max(0, total - given) if given is not None and total is not None else None
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=output,
        total_tokens=total,
    )
    return with_others(usage, body, "usage", _COUNTED, reply)
