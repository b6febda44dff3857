"""Google Gemini's generateContent, native. The model stands in the URL."""

from __future__ import annotations

from typing import Any

from gateway_batch.apis.endings import CUT, Ending, broken, text_result
from gateway_batch.apis.files import check_files
from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.parameters import parameters_for_call, unsupported_names
from gateway_batch.apis.replies import check_error, check_policy, count, json_object, string, sum_of
from gateway_batch.apis.requests import json_request
from gateway_batch.apis.wire_schemas import wire_schema
from gateway_batch.errors import ErrorKind
from gateway_batch.types import (
    HttpReply,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    JsonObject,
    ResponseFormat,
    Service,
    Task,
    TokenUsage,
)

_COUNTED = frozenset(
    {
        "promptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
        "cachedContentTokenCount",
    }
)
_COMPLETE = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED"})
_BROKEN = frozenset({"OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "NO_IMAGE"})
_NO_TEXT = Ending(ErrorKind.NO_ANSWER, "the answer has no parts")


class Gemini:
    """generateContent. Model parameters go into `generationConfig`, except the few that are next to it."""

    task = Task.CHAT
    reserved = frozenset({"model", "contents", "systemInstruction", "candidateCount", "n", "stream"})
    dialect: Dialect | None = Dialect.GEMINI
    unsupported = unsupported_names(Dialect.GEMINI)

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{contents, systemInstruction, generationConfig}`."""
        if call.files:
            check_files(call.files, Dialect.GEMINI)
        body: JsonObject = {"contents": [{"role": "user", "parts": _parts(call)}]}
        if call.instructions is not None:
            body["systemInstruction"] = {"parts": [{"text": call.instructions}]}
        body |= parameters_for_call(call.parameters, Dialect.GEMINI, service)
        if config := {**body.get("generationConfig", {}), **_format(call.response_format)}:
            body["generationConfig"] = config
        return json_request(service, body)

    def parse(self, reply: HttpReply) -> InferenceResult:
        """The first candidate's text parts, joined; thoughts are left out."""
        body = json_object(reply)
        usage, ended = _usage(body, reply), _finish_reason(body)
        paid = InferenceResult("", usage=usage, model=string(body.get("modelVersion")), finish_reason=ended)
        check_policy(body, reply, paid)
        check_error(body, reply, paid)
        where, has_reasoning = "candidates[0].content.parts[].text", False
        match body:
            case {"candidates": [dict(candidate), *_]}:
                parts = _parts_of(candidate.get("content"))
                text, ending = _text(parts), _ending(ended)
                has_reasoning = any(part.get("thought") is True for part in parts)
                if text is None and ending is None and ended == "STOP":
                    ending = _NO_TEXT
            case {"promptFeedback": {"blockReason": str(reason)}}:
                text, ending = None, Ending(ErrorKind.POLICY, f"the prompt was blocked: {reason[:100]}")
            case _:
                text = ending = None
        return text_result(reply, paid, text, ending=ending, has_reasoning=has_reasoning, where=where)

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _parts(call: InferenceRequest) -> list[JsonObject]:
    """Files come first, as Google advises for one image and one document."""
    files: list[JsonObject] = [
        {"inlineData": {"mimeType": file.media_type, "data": file.base64}} for file in call.files
    ]
    return [*files, {"text": call.text}]


def _format(wanted: ResponseFormat | None) -> JsonObject:
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"responseMimeType": "application/json"}
    return {"responseMimeType": "application/json", "responseJsonSchema": wire_schema(wanted, Dialect.GEMINI).schema}


def _parts_of(content: Any) -> list[JsonObject]:
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _text(parts: list[JsonObject]) -> str | None:
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and part.get("thought") is not True]
    return "".join(texts) if texts else None


def _finish_reason(body: JsonObject) -> str | None:
    match body:
        case {"candidates": [{"finishReason": str(reason)}, *_]}:
            return reason
    return None


def _ending(reason: str | None) -> Ending | None:
    if reason is None or reason in _COMPLETE:
        return None
    if reason in _BROKEN:
        return broken(reason)
    return CUT if reason == "MAX_TOKENS" else Ending(ErrorKind.POLICY, f"the answer was withheld: {reason[:100]}")


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
