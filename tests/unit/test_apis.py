"""Requests and answers of each API against `tests/golden/apis`, and what failures say."""

from __future__ import annotations

import base64
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway_batch.apis import API_TYPES, api_for, task_of
from gateway_batch.errors import CallError, ErrorKind, MalformedError
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    File,
    HttpReply,
    InferenceRequest,
    InferenceResult,
    RecordRequest,
    ResponseFormat,
    Service,
    Task,
)

CHAT = api_for("mlflow/v1/chat/completions")

CASES = sorted((Path(__file__).parents[1] / "golden" / "apis").glob("*.json"))


def golden(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def request_of(case: Any) -> AnyRequest:
    given = dict(case["request"])
    match task_of(case["api"]):
        case Task.EMBEDDINGS:
            return EmbeddingRequest(**{**given, "texts": tuple(given["texts"])})
        case Task.SCORING:
            return RecordRequest(**given)
    if "response_format" in given:
        given["response_format"] = ResponseFormat(**given["response_format"])
    files = (File(base64.b64decode(file["data"]), file["media_type"]) for file in given.pop("files", ()))
    return InferenceRequest(**given, files=tuple(files))


def replied(case: Any) -> HttpReply:
    return HttpReply(case["reply"]["status"], case["reply"]["headers"], orjson.dumps(case["reply"]["body"]))


def as_pinned(result: InferenceResult) -> dict[str, Any]:
    """A result as the golden files have it: without its attempt, and without a tier, other usage or a finish reason
    where there are none."""
    found = asdict(result)
    rest = {name: found.pop(name) for name in ("event_id", "request_id", "attempts", "latency_ms", "logprobs")}
    assert rest == {"event_id": None, "request_id": None, "attempts": 1, "latency_ms": None, "logprobs": None}
    if found["finish_reason"] is None:
        del found["finish_reason"]
    usage = found["usage"]
    for name in ("service_tier", "other"):
        if usage[name] is None:
            del usage[name]
    return found


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_request_goes_out_as_pinned(path: Path) -> None:
    case = golden(path)
    service = Service(endpoint="e", api=case["api"], url="https://h/route", model="m", credential="env:T")
    request = api_for(case["api"]).build(request_of(case), service)
    assert orjson.loads(request.body) == case["wire"]
    assert (request.url, request.headers) == ("https://h/route", case.get("wire_headers", {}))


@pytest.mark.parametrize("path", [path for path in CASES if "result" in golden(path)], ids=lambda path: path.stem)
def test_an_answer_is_read_as_pinned(path: Path) -> None:
    case = golden(path)
    assert as_pinned(api_for(case["api"]).parse(replied(case))) == case["result"]


@pytest.mark.parametrize("path", [path for path in CASES if "error" in golden(path)], ids=lambda path: path.stem)
def test_a_failure_is_told_as_pinned(path: Path) -> None:
    case = golden(path)
    with pytest.raises(CallError) as caught:
        api_for(case["api"]).parse(replied(case))
    error = caught.value
    assert {
        "class": type(error).__name__,
        "kind": error.kind.value,
        "message": str(error),
        "status": error.status,
        "request_id": error.request_id,
        "retry_after_s": error.retry_after_s,
        "paid": error.paid and as_pinned(error.paid),
    } == case["error"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("in_progress", "the response is in_progress"),
        ("cancelled", "the response is cancelled"),
        ("completed", r"no text at output\[\]"),
    ],
)
def test_a_response_without_text_says_what_became_of_it(status: str, message: str) -> None:
    body = {"status": status, "output": []}
    with pytest.raises(MalformedError, match=message):
        api_for("mlflow/v1/responses").parse(HttpReply(200, {}, orjson.dumps(body)))


EMPTY: dict[str, Any] = {
    "mlflow/v1/chat/completions": {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]},
    "openai/v1/responses": {"status": "completed", "output": [{"content": [{"type": "output_text", "text": ""}]}]},
    "anthropic/v1/messages": {"content": [{"type": "text", "text": ""}], "stop_reason": "stop_sequence"},
    "gemini/v1/generateContent": {"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]},
}


@pytest.mark.parametrize("api", EMPTY)
def test_a_model_may_say_nothing(api: str) -> None:
    assert api_for(api).parse(HttpReply(200, {}, orjson.dumps(EMPTY[api]))).value == ""


@pytest.mark.parametrize("api", ["anthropic/v1/messages", "gemini/v1/generateContent"])
def test_one_stop_sequence_may_stand_alone(api: str) -> None:
    service = Service(endpoint="e", api=api, url="https://h/route", model="m")
    request = api_for(api).build(InferenceRequest("x", {"stop": "END"}), service)
    body = orjson.loads(request.body)
    assert body.get("generationConfig", {}).get("stopSequences", body.get("stop_sequences")) == ["END"]


def test_an_image_without_a_prompt_goes_to_anthropic_without_an_empty_text_block() -> None:
    service = Service(endpoint="e", api="anthropic/v1/messages", url="https://h/route", model="m")
    request = api_for(service.api).build(InferenceRequest("", files=(File(b"x", "image/png"),)), service)
    (message,) = orjson.loads(request.body)["messages"]
    assert [block["type"] for block in message["content"]] == ["image"]


@pytest.mark.parametrize(("api", "name"), [("openai/v1/responses", "text"), ("anthropic/v1/messages", "output_config")])
def test_a_parameter_that_can_not_hold_the_format_gives_way_to_it(api: str, name: str) -> None:
    service = Service(endpoint="e", api=api, url="https://h/route", model="m")
    wanted = ResponseFormat({"type": "object"})
    body = orjson.loads(api_for(api).build(InferenceRequest("x", {name: 1}, response_format=wanted), service).body)
    assert body[name]["format"]["type"] == "json_schema"


@pytest.mark.parametrize("api", API_TYPES)
def test_the_callers_values_stay_as_they_are(api: str) -> None:
    own = {"openai/v1/responses": {"text": {"verbosity": "low"}}, "anthropic/v1/messages": {"thinking": {"type": "x"}}}
    parameters: dict[str, Any] = {"reasoning_effort": "low", "metadata": {"user_id": "u"}, "tools": []} | own.get(
        api, {}
    )
    if api == "gemini/v1/generateContent":
        parameters = {"thinkingConfig": {"includeThoughts": True}, "reasoning_effort": "low", "safety_settings": []}
    before = orjson.dumps(parameters)
    calls: dict[Task, AnyRequest] = {
        Task.CHAT: InferenceRequest("x", parameters, response_format=ResponseFormat({"type": "object"})),
        Task.EMBEDDINGS: EmbeddingRequest(("x",), parameters),
        Task.SCORING: RecordRequest({"a": 1}, parameters),
    }
    service = Service(endpoint="e", api=api, url="https://h/route", model="m")
    first = api_for(api).build(calls[task_of(api)], service)
    assert api_for(api).build(calls[task_of(api)], service) == first
    assert orjson.dumps(parameters) == before


def test_an_answer_that_is_not_json_says_what_it_is_and_not_what_it_holds() -> None:
    with pytest.raises(MalformedError, match=r"9 bytes, content type text/html") as caught:
        CHAT.parse(HttpReply(200, {"content-type": "text/html"}, b"<secret/>"))
    assert caught.value.kind is ErrorKind.NOT_JSON
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
def test_an_answer_that_is_no_object_is_not_the_api(body: bytes) -> None:
    with pytest.raises(MalformedError, match="expected a JSON object") as caught:
        CHAT.parse(HttpReply(200, {}, body))
    assert caught.value.kind is ErrorKind.INVALID_RESPONSE


def test_tokens_may_be_counted_in_floats() -> None:
    usage = {"prompt_tokens": 10.0, "completion_tokens": 2.5, "total_tokens": 1e300}
    body = {"choices": [{"message": {"content": "x"}}], "usage": usage}
    found = CHAT.parse(HttpReply(200, {}, orjson.dumps(body))).usage
    assert (found.input_tokens, found.output_tokens, found.total_tokens) == (10, None, None)


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity"])
def test_a_prediction_may_be_no_number(written: str) -> None:
    reply = HttpReply(200, {}, f'{{"predictions": [{written}]}}'.encode())
    value = api_for("mlflow/v1/invocations").parse(reply).value
    assert isinstance(value, Decimal)
    assert str(value) == written


@pytest.mark.parametrize("body", [b'{"predictions": [NaN}', b"NaN" + b"[" * 9999])
def test_what_is_no_json_with_nan_either_is_none(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        api_for("mlflow/v1/invocations").parse(HttpReply(200, {}, body))
    assert caught.value.kind is ErrorKind.NOT_JSON


@pytest.mark.parametrize(
    ("entries", "vectors"),
    [
        ([{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}], [[1], [2]]),
        ([{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}], [[1], [2]]),
        ([{"embedding": [1]}, {"embedding": [2]}], [[1], [2]]),
        ([{"index": 0, "embedding": "AACAPwAAAEA="}], [[1.0, 2.0]]),
    ],
    ids=["by index", "all the same index", "no index", "base64"],
)
def test_vectors_are_in_the_order_of_their_texts(entries: list[dict[str, Any]], vectors: list[list[float]]) -> None:
    reply = HttpReply(200, {}, orjson.dumps({"data": entries}))
    assert api_for("openai/v1/embeddings").parse(reply).value == vectors


@pytest.mark.parametrize("embedding", ["", "AACAP", "not base64", "AACAPwA=", "AADAfw==", [], [True], ["1"], None])
def test_what_is_no_vector_is_said(embedding: Any) -> None:
    reply = HttpReply(200, {}, orjson.dumps({"data": [{"index": 0, "embedding": embedding}]}))
    with pytest.raises(MalformedError, match=r"no vector of numbers at data\[0\]"):
        api_for("openai/v1/embeddings").parse(reply)


@pytest.mark.parametrize(
    ("usage", "output"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 399}, 387),
        ({"prompt_tokens": 500, "completion_tokens": 500, "total_tokens": 1_000}, 500),
        ({"prompt_tokens": 10, "completion_tokens": 5}, 5),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 12}, 5),
    ],
    ids=["reasoning apart", "reasoning inside", "no total", "a total too small"],
)
def test_reasoning_that_only_the_total_has_is_output(usage: dict[str, int], output: int) -> None:
    body = {"choices": [{"message": {"content": "x"}}], "usage": usage}
    assert CHAT.parse(HttpReply(200, {}, orjson.dumps(body))).usage.output_tokens == output


@pytest.mark.parametrize("content", ["", None])
def test_a_tool_that_is_called_is_no_text(content: Any) -> None:
    message = {"content": content, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    reply = HttpReply(200, {}, orjson.dumps({"choices": [{"finish_reason": "tool_calls", "message": message}]}))
    with pytest.raises(MalformedError, match="the model called a tool, and gave no text"):
        CHAT.parse(reply)
