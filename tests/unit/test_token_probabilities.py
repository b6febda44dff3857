"""How sure a model was of a value, by the log-probabilities of the tokens that spell it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway_batch.apis.model_families import gives_logprobs
from gateway_batch.apis.refused_parameters import refused_optional
from gateway_batch.apis.token_probabilities import value_probabilities
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.spark.worker.confidences import scored
from gateway_batch.types import HttpReply, HttpRequest, InferenceRequest

from .executor_bench import Bench
from .samples import CALLER, CHAT, chat_reply, reply


def tokens(*spelled: tuple[str, float]) -> dict[str, Any]:
    return {"content": [{"token": text, "logprob": math.log(share), "top_logprobs": []} for text, share in spelled]}


HEAD, TAIL = ('{"label":{"value":"', 0.5), ("}}", 0.5)
CAT = '{"label":{"value":"cat"}}'
NUMBERS = '{"value": 1.5, "x": {"value": null}}'
NUMBERS_SPELLED = [('{"value": ', 0.1), ("1.5", 0.5), (', "x": {"value": ', 0.1), ("null", 0.25), ("}}", 0.1)]
INNER = '\\"value\\":\\"x\\"'
NESTED = f'{{"value":"{INNER}"}}'


@pytest.mark.parametrize(
    ("answer", "logprobs", "shares"),
    [
        pytest.param(CAT, tokens(HEAD, ("c", 0.8), ("at", 0.5), ('"', 0.5), TAIL), [0.2], id="its tokens and its end"),
        pytest.param(CAT, tokens(HEAD, ("cat", 0.8), ('"}}', 0.5)), [0.4], id="the end is a part of a token"),
        pytest.param(CAT, tokens(("<think>cat</think>", 0.1), HEAD, ('cat"', 0.8), TAIL), [0.8], id="after thoughts"),
        pytest.param(CAT, tokens(HEAD, ('cat"', 0.8), TAIL, ("<|eot|>", 0.1)), [0.8], id="before what ends a text"),
        pytest.param(CAT, tokens(HEAD, ('dog"', 0.8), TAIL), None, id="another text"),
        pytest.param(CAT, tokens(HEAD, ('cat"', 1.0005), TAIL), [1.0], id="rounded"),
        pytest.param(NUMBERS, tokens(*NUMBERS_SPELLED), [0.5, 0.25], id="numbers and null"),
        pytest.param(NESTED, tokens(('{"value":"', 0.1), (INNER, 0.5), ('"', 1), ("}", 0.1)), [0.5], id="nested"),
        pytest.param("{}", tokens(("{}", 0.5)), [], id="no value"),
        pytest.param("", tokens(("", 0.5)), None, id="no text"),
        pytest.param(CAT, None, None, id="none"),
        pytest.param(CAT, {"content": None}, None, id="no content"),
        pytest.param(CAT, {"content": []}, None, id="no token"),
        pytest.param(CAT, {"content": [{"token": CAT}]}, None, id="no log-probability"),
        pytest.param(CAT, {"content": [{"token": CAT, "logprob": True}]}, None, id="no number"),
        pytest.param(CAT, {"content": [{"token": CAT, "logprob": math.nan}]}, None, id="not a number"),
        pytest.param(CAT, {"content": [{"token": CAT, "logprob": -math.inf}]}, None, id="impossible"),
        pytest.param(CAT, {"content": [{"token": CAT, "logprob": 5}]}, None, id="above 1"),
        pytest.param(CAT, {"content": [{"token": CAT, "logprob": -(10**400)}]}, None, id="no float"),
        pytest.param(CAT, tokens(*[("", 1.0)] * 50_000, (CAT, 0.5)), None, id="too many tokens"),
        pytest.param(CAT, tokens(HEAD, ('cat"', 0.8), ("}}\n", 0.5)), [0.8], id="a blank more"),
        pytest.param(CAT, [CAT], None, id="a list"),
    ],
)  # fmt: skip
def test_a_value_is_as_probable_as_its_tokens(answer: str, logprobs: Any, shares: list[float] | None) -> None:
    assert value_probabilities(answer, logprobs) == (None if shares is None else pytest.approx(shares))


def test_tokens_that_nearly_spell_an_answer_are_compared_in_a_moment() -> None:
    assert value_probabilities("a" * 1_000_000 + "b", tokens(("a" * 3_000_000, 0.5))) is None


def test_a_token_may_be_a_part_of_a_character() -> None:
    parts = [b'{"value":"', b"\xc3", b"\xa9", b'"', b"}"]
    content = [
        {"token": repr(part), "logprob": math.log(share), "bytes": list(part)}
        for part, share in zip(parts, (0.1, 0.5, 0.5, 1, 0.1), strict=True)
    ]
    assert value_probabilities('{"value":"é"}', {"content": content}) == pytest.approx([0.25])


def test_a_score_goes_to_the_value_that_it_is_of() -> None:
    fields = {"n": {"value": 1, "confidence_score": 0}, "deep": [{"m": {"value": None, "confidence_score": 0}}]}
    found = scored(fields, [0.5, 0.25])
    assert found.source == "token log-probabilities"
    assert found.value == {
        "n": {"value": 1, "confidence_score": 0.5},
        "deep": [{"m": {"value": None, "confidence_score": 0.25}}],
    }
    named_alike = {"confidence_score": {"value": "high", "confidence_score": 0}}
    assert scored(named_alike, [0.5]).value == {"confidence_score": {"value": "high", "confidence_score": 0.5}}
    label = [{"value": "a", "confidence_score": 0.9}]
    for confidences in (None, [], [0.5, 0.5]):
        assert (found := scored(label, confidences)).source == "stated by the model"
        assert found.value == [{"value": "a", "confidence_score": 0.9}]


@pytest.mark.parametrize(
    ("model", "gives"),
    [("databricks-meta-llama-3-3-70b-instruct", True), ("gpt-4.1-mini", True), ("databricks-gpt-oss-20b", True),
     ("databricks-gpt-5-4", False), ("o3", False), ("databricks-claude-sonnet-4-6", False),
     ("gemini-2.5-flash", False)],
)  # fmt: skip
def test_models_are_asked_whose_family_may_have_them(model: str, gives: bool) -> None:
    assert gives_logprobs(model) is gives


@pytest.mark.parametrize(
    "message",
    [
        "You are not allowed to request logprobs from this model.",
        "Validation error at #/logprobs: Extra inputs are not permitted",
        "Unable to submit request because Logprobs is not supported for this model.",
        "logprobs must be an integer",
    ],
)
def test_a_refusal_that_names_an_optional_parameter_is_about_it(message: str) -> None:
    refused = CallError(ErrorKind.BAD_REQUEST, message)
    assert refused_optional(refused, {"logprobs"}) == "logprobs"
    assert refused_optional(refused, {"seed"}) is refused_optional(refused, ()) is None
    assert refused_optional(CallError(ErrorKind.SERVER, message), {"logprobs"}) is None


def test_a_call_goes_without_what_is_optional_where_its_service_refuses_that(play: Callable[..., Any]) -> None:
    """And no row moves the others by words of its own."""

    async def refuses(request: HttpRequest) -> HttpReply:
        body = orjson.loads(request.body)
        if "stop" in body:
            return reply(400, {"error": {"message": "stop must be a list, as logprobs is"}})
        if "bad" in body["messages"][-1]["content"]:
            return reply(400, {"error": {"message": f"can't read {body['messages'][-1]['content']!r}"}})
        if "logprobs" in body and "seed" not in body:
            return reply(400, {"error": {"message": "logprobs are not for this model"}})
        return chat_reply("answer")

    async def scene(bench: Bench) -> list[Any]:
        async def ask(text: str, **parameters: object) -> str:
            optional = frozenset({"logprobs"})
            call = InferenceRequest(text, {"logprobs": True, **parameters}, optional=optional)
            return str((await bench.client.infer(call, CHAT, CALLER)).value)

        with pytest.raises(CallError):
            await ask("bad logprobs")
        with pytest.raises(CallError):  # whatever it says, the call fails without as well: nothing is remembered
            await ask("x", stop="x")
        assert await ask("x", seed=1) == await ask("y") == await ask("z") == "answer"
        with pytest.raises(CallError, match="logprobs are not for this model"):  # nobody said that it may be left out
            await bench.client.infer(InferenceRequest("x", {"logprobs": True}), CHAT, CALLER)
        return [orjson.loads(request.body).get("logprobs", False) for request in bench.transport.sent]

    assert play(scene, refuses)[0] == [True, True, False, True, True, False, False, True]
