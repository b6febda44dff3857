"""OpenAI-compatible embeddings: Databricks' unified API and most other servers."""

from __future__ import annotations

from typing import Any

import orjson

from gateway_batch.apis.replies import check_policy, count, json_object, not_the_api, string
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
        paid = InferenceResult("", usage=_usage(body.get("usage")), model=string(body.get("model")))
        check_policy(body, reply, paid)
        match body:
            case {"data": [{"embedding": [*vector]}, *_]} if all(_is_number(x) for x in vector):
                return InferenceResult(vector, paid.usage, paid.model)
        raise not_the_api(reply, "no vector of numbers at data[0].embedding", paid)


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _usage(block: Any) -> TokenUsage:
    """Embeddings report no output: it is what the total has beyond the input, so that the two add up to it."""
    given, total = count(block, "prompt_tokens"), count(block, "total_tokens")
    total = given if total is None else total
    output = max(0, total - given) if given is not None and total is not None else None
    return TokenUsage(input_tokens=given, output_tokens=output, total_tokens=total)
