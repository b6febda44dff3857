"""OpenAI Responses, and Databricks' Supervisor API, which has their shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway_batch.apis.endings import CALLED, CUT, FILTERED, REFUSED, Ending, broken, text_result
from gateway_batch.apis.files import PDF, check_files
from gateway_batch.apis.other_usage import with_others
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.parameters import parameters_for_call, unsupported_names
from gateway_batch.apis.replies import (
    check_error,
    check_policy,
    count,
    json_object,
    object_or_empty,
    string,
    sum_of,
)
from gateway_batch.apis.requests import json_request
from gateway_batch.apis.wire_schemas import wire_schema
from gateway_batch.errors import ErrorKind
from gateway_batch.types import (
    File,
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

_ENDINGS = {"max_output_tokens": CUT, "max_tokens": CUT, "content_filter": FILTERED}
_COUNTED = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "input_tokens_details.cached_tokens",
        "input_tokens_details.cache_write_tokens",
        "output_tokens_details.reasoning_tokens",
    }
)


class OpenAIResponses:
    """Responses. The prompt goes out as one user item."""

    task = Task.CHAT
    reserved = frozenset({"model", "input", "instructions", "stream", "background"})
    dialect: Dialect | None = Dialect.RESPONSES
    unsupported = unsupported_names(Dialect.RESPONSES)

    def build(self, call: InferenceRequest, service: Service) -> HttpRequest:
        """POST `{model, input, instructions, ...parameters, text}`."""
        if call.files:
            check_files(call.files, Dialect.RESPONSES)
        body: JsonObject = {
            "model": service.model,
            "input": [{"role": "user", "content": _parts(call) if call.files else call.text}],
        }
        if call.instructions is not None:
            body["instructions"] = call.instructions
        body |= parameters_for_call(call.parameters, Dialect.RESPONSES, service)
        if call.response_format is not None:
            body["text"] = {**object_or_empty(body.get("text")), "format": _format(call.response_format)}
        return json_request(service, body)

    def parse(self, reply: HttpReply) -> InferenceResult:
        """All `output_text` parts of the output's messages, joined; `output_text` itself where there is no `output`.

        Messages of phase `commentary`, which models write on the way to the answer, are left out.
        """
        body = json_object(reply)
        usage, ended = _usage(body, reply), _finish_reason(body)
        paid = InferenceResult("", usage=usage, model=string(body.get("model")), finish_reason=ended)
        check_policy(body, reply, paid)
        check_error(body, reply, paid)
        output = body.get("output")
        ending, has_reasoning = _ending(body), False
        if output is None:
            text = string(body.get("output_text"))
        else:
            parts = list(_content(output))
            texts = [part["text"] for part in parts if _is(part, "output_text", "text")]
            text = "".join(texts) if texts else None
            has_reasoning = _has_item(output, "reasoning")
            if any(_is(part, "refusal", "refusal") for part in parts):
                ending = ending or REFUSED
            elif text is None and _has_item(output, "function_call"):
                ending = ending or CALLED
        where = "output[].content[].text"
        return text_result(reply, paid, text, ending=ending, has_reasoning=has_reasoning, where=where)

    def usage(self, body: JsonObject, reply: HttpReply) -> TokenUsage:
        """What the answer says of its tokens."""
        return _usage(body, reply)


def _parts(call: InferenceRequest) -> list[JsonObject]:
    return [{"type": "input_text", "text": call.text}, *map(_part, call.files)]


def _part(file: File) -> JsonObject:
    if file.media_type == PDF:
        return {"type": "input_file", "filename": "document.pdf", "file_data": file.data_url}
    return {"type": "input_image", "image_url": file.data_url, "detail": "auto"}


def _format(wanted: ResponseFormat) -> JsonObject:
    if wanted.schema is None:
        return {"type": "json_object"}
    wire = wire_schema(wanted, Dialect.RESPONSES)
    return {"type": "json_schema", "name": wanted.name, "strict": wire.strict, "schema": wire.schema}


def _content(output: Any) -> Iterator[JsonObject]:
    for item in output if isinstance(output, list) else ():
        parts = item.get("content") if isinstance(item, dict) and item.get("phase") != "commentary" else None
        yield from (part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()


def _is(part: JsonObject, kind: str, field: str) -> bool:
    return part.get("type") == kind and isinstance(part.get(field), str)


def _has_item(output: Any, kind: str) -> bool:
    return isinstance(output, list) and any(isinstance(item, dict) and item.get("type") == kind for item in output)


def _ending(body: JsonObject) -> Ending | None:
    status = body.get("status")
    if status in (None, "completed"):
        return None
    if status == "incomplete":
        return _ENDINGS.get(_finish_reason(body) or "") or Ending(ErrorKind.NO_ANSWER, "the response is incomplete")
    return broken(f"the response is {status}")


def _finish_reason(body: JsonObject) -> str | None:
    """Why a response is incomplete, else its status."""
    reason = string(object_or_empty(body.get("incomplete_details")).get("reason"))
    return reason or string(body.get("status"))


def _usage(body: JsonObject, reply: HttpReply) -> TokenUsage:
    block = body.get("usage")
    given, answered = count(block, "input_tokens"), count(block, "output_tokens")
    total = count(block, "total_tokens")
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=answered,
        total_tokens=sum_of(given, answered) if total is None else total,
        cache_read_tokens=count(block, "input_tokens_details", "cached_tokens"),
        cache_creation_tokens=count(block, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count(block, "output_tokens_details", "reasoning_tokens"),
    )
    return with_others(usage, body, "usage", _COUNTED, reply)
