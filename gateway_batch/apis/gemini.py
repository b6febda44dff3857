"""Google Gemini's generateContent, native. The model stands in the URL."""

from __future__ import annotations

from typing import Any

from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.replies import CUT, check_error, check_policy, count, json_object, string, sum_of, text_result
from gateway_batch.apis.requests import json_request
from gateway_batch.types import (
    HttpReply,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    JsonObject,
    Service,
    Task,
    TokenUsage,
)

_WORDS = {
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
# What is next to generationConfig and not in it.
_BESIDE = ("safetySettings", "tools", "toolConfig", "cachedContent")
_COUNTED = frozenset(
    {
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
        "cachedContentTokenCount",
    }
)
_COMPLETE = ("STOP", "FINISH_REASON_UNSPECIFIED")


class Gemini:
    """generateContent. Model parameters go into `generationConfig`, except the few that are next to it."""

    task = Task.CHAT
    reserved = frozenset({"model", "contents", "systemInstruction", "candidateCount", "n", "stream"})
    unsupported = frozenset({"logit_bias", "top_logprobs"})

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{contents, systemInstruction, generationConfig}`."""
        body: JsonObject = {"contents": [{"role": "user", "parts": _parts(call)}]}
        if call.instructions is not None:
            body["systemInstruction"] = {"parts": [{"text": call.instructions}]}
        config = _config(call)
        body |= {name: config.pop(name) for name in _BESIDE if name in config}
        if config:
            body["generationConfig"] = config
        return json_request(service, body)

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The first candidate's text parts, joined; thoughts are left out."""
        body = json_object(reply)
        usage, ending = _usage(body, reply), _finish_reason(body)
        paid = InferenceResult("", usage=usage, model=string(body.get("modelVersion")), finish_reason=ending)
        check_policy(body, reply, paid)
        check_error(body, reply, paid)
        match body:
            case {"candidates": [dict(candidate), *_]}:
                text, why = _text(candidate.get("content"), may_be_empty=ending == "STOP"), _why_empty(ending)
            case {"promptFeedback": {"blockReason": str(reason)}}:
                text, why = None, f"the prompt was blocked: {reason[:100]}"
            case _:
                text = why = None
        return text_result(reply, paid, text, why_empty=why, where="candidates[0].content.parts[].text")

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _parts(call: InferenceRequest) -> list[JsonObject]:
    """Images come first, as Google advises for one image."""
    pictures: list[JsonObject] = [
        {"inlineData": {"mimeType": image.media_type, "data": image.base64}} for image in call.images
    ]
    return [*pictures, {"text": call.text}]


def _config(call: InferenceRequest) -> JsonObject:
    config = {_WORDS.get(name, name): value for name, value in call.parameters.items()}
    if isinstance(mark := config.get("stopSequences"), str):
        config["stopSequences"] = [mark]
    if call.response_format is not None:
        config["responseMimeType"] = "application/json"
        if call.response_format.schema is not None:
            config["responseJsonSchema"] = dict(call.response_format.schema)
    return config


def _text(content: Any, *, may_be_empty: bool) -> str | None:
    parts = content.get("parts") if isinstance(content, dict) else None
    texts = [
        part["text"]
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("thought") is not True
    ]
    return "".join(texts) if texts or may_be_empty else None


def _finish_reason(body: JsonObject) -> str | None:
    match body:
        case {"candidates": [{"finishReason": str(reason)}, *_]}:
            return reason
    return None


def _why_empty(ending: str | None) -> str | None:
    if ending is None or ending in _COMPLETE:
        return None
    return CUT if ending == "MAX_TOKENS" else f"the answer was withheld: {ending[:100]}"


def _usage(body: JsonObject, reply: HttpReply) -> TokenUsage:
    """`promptTokenCount` has cached tokens in it; `candidatesTokenCount` leaves out thoughts, ours has them in."""
    block = body.get("usageMetadata")
    given, thoughts = count(block, "promptTokenCount"), count(block, "thoughtsTokenCount")
    spoken, total = count(block, "candidatesTokenCount"), count(block, "totalTokenCount")
    answered = None if spoken is None and thoughts is None else sum_of(spoken or 0, thoughts or 0)
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=answered,
        total_tokens=sum_of(given, answered) if total is None else total,
        cache_read_tokens=count(block, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )
    return with_others(usage, body, "usageMetadata", _COUNTED, reply)
