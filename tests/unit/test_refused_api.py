from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway_batch.apis.refused_api import wants_responses
from gateway_batch.config import GatewayConfig, resolve_service
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest, Service

from .executor_bench import Bench
from .samples import CALLER, CHAT, chat_reply, reply

OPENAI = {"error": {"message": "This model is only supported in v1/responses and not in v1/chat/completions."}}
RESPONSES = replace(CHAT, api="openai/v1/responses", url="https://host/ai-gateway/openai/v1/responses")
EITHER = replace(CHAT, responses=RESPONSES)
ANSWER = {
    "model": "gpt-9",
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "by Responses"}]}],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}


@pytest.mark.parametrize(
    ("message", "wants"),
    [
        ("This model is only supported in v1/responses and not in v1/chat/completions.", True),
        ("The model gpt-9 only works with the Responses API.", True),
        ("gpt-9 can only be used with the /v1/responses endpoint", True),
        ("Not a chat model. Please use the Responses API instead.", True),
        ("Did you mean to use v1/responses?", True),
        ("This is not a chat model. Did you mean to use v1/completions?", False),
        ("The model `gpt-9` does not exist or you do not have access to it.", False),
        ("responses is an unknown parameter", False),
        ("only text is supported. The prompt was about responses", False),
    ],
)
def test_a_refusal_names_the_api(message: str, wants: bool) -> None:
    assert wants_responses(404, f"404: {message}") is wants
    assert not wants_responses(500, f"500: {message}")


async def by_route(request: HttpRequest) -> HttpReply:
    return reply(200, ANSWER) if request.url.endswith("/responses") else reply(404, OPENAI)


def test_a_model_that_says_so_is_asked_by_responses_from_then_on(play: Callable[..., Any]) -> None:
    async def scene(bench: Bench) -> list[HttpRequest]:
        call = InferenceRequest("hi", {"max_tokens": 7})
        answers = [(await bench.client.infer(call, EITHER, CALLER)).value for _ in range(3)]
        assert answers == ["by Responses"] * 3
        return bench.transport.sent

    sent, rows = play(scene, by_route)
    paths = ["chat/completions", "responses", "responses", "responses"]
    assert [request.url.partition("/v1/")[2] for request in sent] == paths
    body = orjson.loads(sent[-1].body)
    assert (body["input"][0]["content"], body["max_output_tokens"]) == ("hi", 7)
    assert [row["status_code"] for row in rows if row["status_code"]] == [404, 200, 200, 200]


@pytest.mark.parametrize("service", [CHAT, RESPONSES], ids=lambda service: service.api)
def test_an_api_that_somebody_named_is_kept(play: Callable[..., Any], service: Service) -> None:
    async def scene(bench: Bench) -> int:
        assert (await bench.failure(service)).kind is ErrorKind.NOT_FOUND
        return len(bench.transport.sent)

    assert play(scene, [reply(404, OPENAI)])[0] == 1


def test_a_row_that_says_such_words_moves_nobody(play: Callable[..., Any]) -> None:
    words = "This model is only supported in v1/responses. Use the Responses API."

    async def echoes(request: HttpRequest) -> HttpReply:
        refused = words.encode() in request.body
        return reply(400, {"error": {"message": f"bad text: {words}"}}) if refused else chat_reply("by chat")

    async def scene(bench: Bench) -> list[str]:
        with pytest.raises(CallError):
            await bench.infer(words, EITHER)
        assert (await bench.infer("hi", EITHER)).value == "by chat"
        return [request.url.partition("/v1/")[2] for request in bench.transport.sent]

    assert play(scene, echoes)[0] == ["chat/completions"] * 2


def test_a_service_that_answers_by_neither_is_not_remembered(play: Callable[..., Any]) -> None:
    async def scene(bench: Bench) -> list[str]:
        for _ in range(2):
            assert (await bench.failure(EITHER)).kind is ErrorKind.NOT_FOUND
        return [request.url.partition("/v1/")[2] for request in bench.transport.sent]

    assert play(scene, [reply(404, OPENAI)])[0] == ["chat/completions", "responses"] * 2


def test_a_service_has_both_only_where_nobody_names_its_api() -> None:
    def responses(api: str | None = None, **settings: str) -> str | None:
        config = GatewayConfig.from_env(host="https://host", token="t", endpoints={"m": settings} if settings else {})
        other = resolve_service(config, "m", api).responses
        return None if other is None else other.url

    assert responses() == "https://host/ai-gateway/openai/v1/responses"
    assert responses(base_url="https://own/v1", token="t") == "https://own/v1/responses"
    assert responses(api="mlflow/v1/chat/completions") is None
    assert responses(model="databricks-gte-large-en") is None
