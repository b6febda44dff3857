"""OpenAI-compatible embeddings: Databricks' unified API and most other servers."""

from __future__ import annotations

from typing import Any

import orjson

from gateway_batch.apis.replies import count, json_object, not_the_api
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, InferenceResult, Service, TokenUsage

# Set by the call itself: as model parameters they would change what is asked.
RESERVED = frozenset({"model", "input"})


class OpenAIEmbeddings:
    """Embeddings, one input a request."""

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{model, input, ...parameters}`."""
        return HttpRequest(service.url, orjson.dumps({"model": service.model, "input": call.text, **call.parameters}))

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The vector at `data[0].embedding`."""
        body = json_object(reply)
        match body:
            case {"data": [{"embedding": [*vector]}, *_]} if all(_is_number(x) for x in vector):
                model = body.get("model")
                return InferenceResult(
                    vector, usage=_usage(body.get("usage")), model=model if isinstance(model, str) else None
                )
        raise not_the_api(reply, "no vector of numbers at data[0].embedding")


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _usage(block: Any) -> TokenUsage:
    given, total = count(block, "prompt_tokens"), count(block, "total_tokens")
    return TokenUsage(input_tokens=given, output_tokens=None, total_tokens=total if total is not None else given)
