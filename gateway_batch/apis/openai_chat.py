"""OpenAI-compatible chat completions: Databricks' unified API and most other servers."""

from __future__ import annotations

from typing import Any

import orjson

from gateway_batch.apis.replies import check_policy, count, json_object, not_the_api, string
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, InferenceResult, Service, TokenUsage


class OpenAIChat:
    """Chat completions. The prompt goes out as one user message."""

    reserved = frozenset({"model", "messages", "stream", "n"})
    unsupported: frozenset[str] = frozenset()

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{model, messages, ...parameters}`."""
        body = {
            "model": service.model,
            "messages": [{"role": "user", "content": call.text}],
            **call.parameters,
        }
        return HttpRequest(service.url, orjson.dumps(body))

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The first choice's text; content blocks (gpt-oss) are joined from those of type `text`."""
        body = json_object(reply)
        paid = InferenceResult("", usage=_usage(body.get("usage")), model=string(body.get("model")))
        check_policy(body, reply, paid)
        match body:
            case {"choices": [{"message": {"content": content}}, *_]} if (text := _text(content)) is not None:
                return InferenceResult(text, paid.usage, paid.model)
            case {"choices": [{"message": {"refusal": str(refusal)}}, *_]}:
                raise not_the_api(reply, f"the model refused: {refusal[:500]}", paid)
        raise not_the_api(reply, "no text at choices[0].message.content", paid)


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    blocks = [block["text"] for block in content if _is_text_block(block)]
    return "".join(blocks) if blocks else None


def _is_text_block(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _usage(block: Any) -> TokenUsage:
    given, answered = count(block, "prompt_tokens"), count(block, "completion_tokens")
    total = count(block, "total_tokens")
    if total is None and given is not None and answered is not None:
        total = given + answered
        total = total if total < 2**63 else None
    return TokenUsage(
        input_tokens=given,
        output_tokens=answered,
        total_tokens=total,
        cache_read_tokens=count(block, "prompt_tokens_details", "cached_tokens"),
        cache_creation_tokens=count(block, "cache_creation_input_tokens"),
        reasoning_tokens=count(block, "completion_tokens_details", "reasoning_tokens"),
    )
