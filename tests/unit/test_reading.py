"""The border around an answer: what is odd in it is read, or is the error of its row."""

from __future__ import annotations

import json

import pytest

from gateway_batch.apis import API_TYPES, api_for
from gateway_batch.apis.openai_chat import OpenAIChat
from gateway_batch.apis.reading import hide_secret, read_answer
from gateway_batch.errors import CallError, ErrorKind, MalformedError
from gateway_batch.types import HttpReply, InferenceResult

CHAT = api_for("mlflow/v1/chat/completions")
ANSWER = '{"choices": [{"message": {"content": "%s"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}'
TOKEN = "dapi/0123456789abcdef+"


def read(body: bytes) -> InferenceResult:
    return read_answer(CHAT, HttpReply(200, {}, body))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ((ANSWER % "\\ud800").encode(), "\ufffd"),
        ((ANSWER % "a\\udfffb\\ud83d\\ude00").encode(), "a\ufffdb\U0001f600"),
        ((ANSWER % "\\\\ud800").encode(), "\\ud800"),
        ((ANSWER % "a\xffb").encode("latin-1"), "a\ufffdb"),
        (b"\xef\xbb\xbf" + (ANSWER % "x").encode(), "x"),
        ((ANSWER % "caf\u00e9").encode("utf-16"), "caf\u00e9"),
        ((ANSWER % "caf\u00e9").encode("utf-16-le"), "caf\u00e9"),
        ((ANSWER % "a\nb\x00").encode(), "a\nb\x00"),
        ((ANSWER % "x").replace("7", "NaN").encode(), "x"),
        ((ANSWER % "x").replace('"usage"', '"logprob": -Infinity, "usage"').encode(), "x"),
        ((ANSWER % "x").replace("7", "7" * 5_000).encode(), "x"),
    ],
)
def test_an_answer_with_small_faults_is_read(body: bytes, text: str) -> None:
    found = read(body)
    assert found.value == text
    assert found.usage.output_tokens == 2


@pytest.mark.parametrize(
    "body",
    [
        "[" * 5_000 + ANSWER % "x",
        (ANSWER % "x").replace("{", '{"a": ' + "[" * 5_000 + "]" * 5_000 + ", ", 1),
        "data: " + ANSWER % "x" + "\n\ndata: [DONE]",
        ANSWER % "x" + ANSWER % "y",
        (ANSWER % "x")[:-1],
        "[" + ANSWER % "x" + "]",
        (ANSWER % "x").replace("choices", "results"),
    ],
)
def test_an_answer_that_is_not_understood_is_not_asked_for_again_if_it_names_its_tokens(body: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(body.encode())
    assert caught.value.kind is ErrorKind.INVALID_RESPONSE
    assert caught.value.paid is not None
    assert caught.value.paid.usage.input_tokens == 7


@pytest.mark.parametrize("body", ["<html>busy</html>", "", '{"usage": ', '{"usage": {}', "[" * 5_000])
def test_an_answer_that_is_no_json_and_names_no_tokens_was_not_the_models(body: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(body.encode())
    assert caught.value.paid is None


def test_whatever_an_adapter_raises_is_an_error_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: OpenAIChat, reply: HttpReply) -> InferenceResult:
        raise ValueError("the prompt")

    monkeypatch.setattr(OpenAIChat, "parse", fail)
    with pytest.raises(MalformedError, match=r"can't be read \(ValueError\)$") as caught:
        read((ANSWER % "x").encode())
    assert (caught.value.kind, caught.value.status) == (ErrorKind.INVALID_RESPONSE, 200)
    assert caught.value.paid is not None
    assert caught.value.paid.usage.total_tokens == 9


@pytest.mark.parametrize("api", API_TYPES)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
def test_a_token_that_is_echoed_is_shown_nowhere(api: str, status: int) -> None:
    forms = (TOKEN, TOKEN.replace("/", "\\/"), TOKEN.replace("/", "%2F").replace("+", "%2B"))
    for form in forms if status != 200 else (TOKEN,):
        body = f'{{"error": {{"message": "token {form} is wrong", "code": "{form}"}}}}'
        headers = {"x-request-id": TOKEN, "content-type": f"text/{TOKEN}", "location": f"https://host/{TOKEN}"}
        reply = hide_secret(HttpReply(status, headers, body.encode()), TOKEN)
        with pytest.raises(CallError) as caught:
            read_answer(api_for(api), reply)
        shown = f"{caught.value} {caught.value.request_id} {dict(reply.headers)} {reply.body!r}"
        assert "0123456789abcdef" not in shown
        assert "***" in shown


def test_a_token_that_may_be_a_word_of_an_answer_stays_in_it() -> None:
    reply = HttpReply(200, {}, json.dumps({"text": "the box is EMPTY"}).encode())
    assert hide_secret(reply, "EMPTY").body == reply.body
    assert hide_secret(reply, None) is reply
