"""Our own adapters and transport against the gateway: what one end writes, the other reads."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway_batch.apis import API_TYPES, api_for, task_of
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.devgateway import RunningGateway
from gateway_batch.errors import CallError, ErrorKind, MalformedError, RejectedError
from gateway_batch.transport.reqwest import ReqwestTransport
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    File,
    InferenceRequest,
    InferenceResult,
    RecordRequest,
    ResponseFormat,
    Task,
)

from .conftest import TOKEN, Rows
from .conversation import LAKE, MODEL, SCHEMA

CHAT_APIS = [api for api in API_TYPES if task_of(api) is Task.CHAT]
LOOSE = [api for api in CHAT_APIS if api != "anthropic/v1/messages"]
PIXEL = File(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    ),
    "image/png",
)
ASK = InferenceRequest("Name a lake.")


def call_of(api: str) -> tuple[str, AnyRequest]:
    """An endpoint for the API and a call of it."""
    match task_of(api):
        case Task.EMBEDDINGS:
            return "databricks-bge-large-en", EmbeddingRequest(("a lake", "a sea", "a lake"))
        case Task.SCORING:
            return "churn-scorer", RecordRequest({"age": 41, "plan": "basic"})
    return MODEL, ASK


def ask(gateway: RunningGateway, api: str, call: AnyRequest, endpoint: str = MODEL) -> InferenceResult:
    service = resolve_service(GatewayConfig.from_env(host=gateway.host), endpoint, api)
    request = api_for(api).build(call, service)
    headers = {**request.headers, "authorization": f"Bearer {TOKEN}", "x-client-request-id": "ours"}

    async def send() -> InferenceResult:
        transport = ReqwestTransport("gateway_batch/test")
        try:
            reply = await transport.send(replace(request, headers=headers), 30)
        finally:
            await transport.close()
        return api_for(api).parse(reply)

    return asyncio.run(send())


def failure(gateway: RunningGateway, api: str, call: AnyRequest, endpoint: str = MODEL) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(gateway, api, call, endpoint)
    return caught.value


@pytest.mark.parametrize("api", CHAT_APIS)
@pytest.mark.parametrize("endpoint", [MODEL, "system.ai.gpt-oss-20b"])
def test_a_question_has_its_answer_and_its_tokens(gateway: RunningGateway, api: str, endpoint: str) -> None:
    result = ask(gateway, api, ASK, endpoint)
    usage = result.usage
    assert result.value == LAKE
    assert result.model == f"{endpoint.removeprefix('databricks-').removeprefix('system.ai.')}-stand-in"
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (8, 11, 19)


@pytest.mark.parametrize("api", CHAT_APIS)
def test_max_tokens_cut_the_answer(gateway: RunningGateway, api: str) -> None:
    result = ask(gateway, api, replace(ASK, parameters={"max_tokens": 3, "temperature": 0.2, "top_p": 0.9}))
    assert result.usage.output_tokens == 3
    assert 0 < len(result.value) < len(LAKE)
    assert LAKE.startswith(result.value)


def test_log_probabilities_are_of_the_answers_tokens(gateway: RunningGateway) -> None:
    assert ask(gateway, "mlflow/v1/chat/completions", ASK).logprobs is None
    found = ask(gateway, "mlflow/v1/chat/completions", replace(ASK, parameters={"logprobs": True})).logprobs["content"]
    assert "".join(token["token"] for token in found) == LAKE
    assert all(-1 < token["logprob"] < 0 for token in found)


@pytest.mark.parametrize("api", [api for api in CHAT_APIS if "stop" not in api_for(api).unsupported])
def test_stop_sequences_end_the_answer(gateway: RunningGateway, api: str) -> None:
    assert ask(gateway, api, replace(ASK, parameters={"stop": [" answer", "?"]})).value == "This is a stand-in's"
    assert ask(gateway, api, replace(ASK, parameters={"stop": ["This"]})).value == ""


@pytest.mark.parametrize("api", CHAT_APIS)
def test_instructions_arrive_as_the_systems_word(gateway: RunningGateway, api: str) -> None:
    text = "The soup was cold. The waiter was rude. I will not come back to this place again."
    instructed = InferenceRequest(text, instructions="Classify the review as positive or negative.")
    assert ask(gateway, api, instructed).value == "negative"


@pytest.mark.parametrize("api", CHAT_APIS)
def test_images_arrive_as_images(gateway: RunningGateway, api: str) -> None:
    plain = ask(gateway, api, ASK)
    seen = ask(gateway, api, replace(ASK, files=(PIXEL, PIXEL)))
    assert seen.value == plain.value
    assert seen.usage.input_tokens == (plain.usage.input_tokens or 0) + 2 * 255


@pytest.mark.parametrize("api", ["mlflow/v1/chat/completions", "anthropic/v1/messages"])
def test_a_marked_system_prompt_is_read_from_the_cache_the_second_time(gateway: RunningGateway, api: str) -> None:
    long = replace(ASK, instructions=f"{api}: {'Answer as a hydrologist would. ' * 250}")
    plain = ask(gateway, api, long)
    marked = replace(long, parameters={"cache_control": {"type": "ephemeral"}})
    first, second = ask(gateway, api, marked).usage, ask(gateway, api, replace(marked, text="Name a river.")).usage
    assert plain.usage.input_tokens == first.input_tokens == second.input_tokens
    assert 1_024 < (first.cache_creation_tokens or 0) < (plain.usage.input_tokens or 0)
    assert (second.cache_read_tokens, second.cache_creation_tokens or 0) == (first.cache_creation_tokens, 0)
    short = ask(gateway, api, replace(marked, instructions="Be short.")).usage
    assert (short.cache_read_tokens or 0, short.cache_creation_tokens or 0) == (0, 0)


@pytest.mark.parametrize("api", CHAT_APIS)
def test_an_answer_keeps_to_its_schema(gateway: RunningGateway, api: str) -> None:
    value = json.loads(ask(gateway, api, replace(ASK, response_format=ResponseFormat(SCHEMA, "lake"))).value)
    assert value.keys() == {"lake", "depth_m"}
    assert isinstance(value["depth_m"], int | float)


@pytest.mark.parametrize("api", LOOSE)
def test_json_without_a_schema_is_an_object(gateway: RunningGateway, api: str) -> None:
    assert isinstance(json.loads(ask(gateway, api, replace(ASK, response_format=ResponseFormat())).value), dict)


def test_anthropic_is_asked_for_an_object_in_words(gateway: RunningGateway) -> None:
    """The stand-in doesn't follow such words; the real models do."""
    loose = ask(gateway, "anthropic/v1/messages", replace(ASK, response_format=ResponseFormat()))
    assert (loose.usage.input_tokens or 0) > 8


@pytest.mark.parametrize("api", [api for api in API_TYPES if task_of(api) is Task.EMBEDDINGS])
def test_several_texts_have_a_vector_each(gateway: RunningGateway, api: str) -> None:
    endpoint, call = call_of(api)
    lake, sea, again = ask(gateway, api, call, endpoint).value
    assert (len(lake), len(sea)) == (1024, 1024)
    assert lake == again != sea


def test_a_record_has_its_score(gateway: RunningGateway) -> None:
    result = ask(gateway, "mlflow/v1/invocations", RecordRequest({"age": 41}), "churn-scorer")
    assert 0 <= result.value <= 1
    assert result.usage.total_tokens is None


@pytest.mark.parametrize("api", API_TYPES)
def test_every_api_reaches_its_own_route(gateway: RunningGateway, api: str, rows: Rows) -> None:
    endpoint, call = call_of(api)
    ask(gateway, api, call, endpoint)
    row = rows("ours")[-1]
    assert (row["api_type"], row["endpoint_name"], row["status_code"]) == (api, endpoint, 200)


@pytest.mark.parametrize("api", API_TYPES)
def test_a_policys_denial_is_told_alike_by_every_api(gateway: RunningGateway, api: str) -> None:
    gateway.configure(faults=[{"policy": True, "message": "Not this."}])
    endpoint, call = call_of(api)
    error = failure(gateway, api, call, endpoint)
    assert isinstance(error, RejectedError)
    assert (error.kind, error.status) == (ErrorKind.POLICY, 200)
    assert "'stand-in-policy' denied the call: Not this." in str(error)
    assert error.paid is not None


@pytest.mark.parametrize("api", API_TYPES)
def test_a_refusal_is_told_alike_by_every_api(gateway: RunningGateway, api: str) -> None:
    gateway.configure(faults=[{"status": 429, "retry_after": 2, "message": "Too many."}])
    endpoint, call = call_of(api)
    error = failure(gateway, api, call, endpoint)
    assert (error.kind, error.retry_after_s) == (ErrorKind.RATE_LIMIT, 2.0)
    assert str(error) == "429: REQUEST_LIMIT_EXCEEDED: Too many."


@pytest.mark.parametrize("api", API_TYPES)
def test_a_page_of_html_is_no_answer_to_any_api(gateway: RunningGateway, api: str) -> None:
    gateway.configure(faults=[{"not_json": True}])
    endpoint, call = call_of(api)
    error = failure(gateway, api, call, endpoint)
    assert isinstance(error, MalformedError)
    assert error.kind is ErrorKind.NOT_JSON


@pytest.mark.parametrize("api", API_TYPES)
def test_an_unknown_name_is_not_found(gateway: RunningGateway, api: str) -> None:
    _, call = call_of(api)
    error = failure(gateway, api, call, "nobody")
    assert error.kind is ErrorKind.NOT_FOUND
    assert "'nobody'" in str(error)


@pytest.mark.parametrize("api", CHAT_APIS)
def test_any_text_survives_the_way(gateway: RunningGateway, api: str) -> None:
    odd: Any = 'ä 🦊 "\\ \u0000 \u2028 end'
    assert ask(gateway, api, InferenceRequest(odd, {"max_tokens": 50})).usage.input_tokens
