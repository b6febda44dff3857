"""The border around an answer: what is odd in it is read, or is the error of its row."""

from __future__ import annotations

import base64
import json
import traceback
from urllib.parse import quote

import pytest

from gateway_batch.apis import API_TYPES, api_for
from gateway_batch.apis.openai_chat import OpenAIChat
from gateway_batch.apis.reading import read_answer
from gateway_batch.apis.secrets import hide_token, masked
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


@pytest.mark.parametrize("body", ["[" * 5_000 + "]" * 5_000, '{"a": ' * 5_000 + "1" + "}" * 5_000])
def test_json_that_is_too_deep_is_not_asked_for_again(body: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read(body.encode())
    assert caught.value.kind is ErrorKind.INVALID_RESPONSE


@pytest.mark.parametrize("status", [200, 500])
def test_no_body_takes_long(status: int) -> None:
    """An hour by a pattern that goes back over what it has read."""
    cut_off = b'{"choices": [{"message": {"content": "' + b'{\\"a\\": 1}' * 200_000
    for body in (cut_off, b'"usage":{' * 200_000, b'"' * 1_000_000, b"\\" * 1_000_000, cut_off + b"\xff"):
        with pytest.raises(CallError):
            read_answer(CHAT, HttpReply(status, {}, body))


@pytest.mark.parametrize("body", [b"x" * 100_000, b'{"error": {"message": "no"}, "more": "%b"}' % (b"x" * 100_000)])
@pytest.mark.parametrize("status", [200, 400])
def test_an_error_holds_nothing_of_the_answer(status: int, body: bytes) -> None:
    with pytest.raises(CallError) as caught:
        read_answer(CHAT, HttpReply(status, {}, body))
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert frames == ["test_an_error_holds_nothing_of_the_answer", "read_answer"]


def forms_of(token: str) -> dict[str, str]:
    """A token as servers write it in JSON and elsewhere."""
    encoded = quote(token, safe="")
    return {
        "as it is": token,
        "upper case": token.upper(),
        "slash": token.replace("/", "\\/"),
        "escaped": "".join(f"\\u{ord(each):04x}" for each in token),
        "percent": encoded,
        "percent, small letters": encoded.replace("%2F", "%2f").replace("%2B", "%2b"),
        "base64": base64.b64encode(token.encode()).decode(),
        "basic": base64.b64encode(f"token:{token}".encode()).decode(),
        "cut off": f"{'x' * 979}{token}",
    }


@pytest.mark.parametrize("form", forms_of(TOKEN))
@pytest.mark.parametrize("api", API_TYPES)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
def test_a_token_that_is_echoed_is_shown_nowhere(api: str, status: int, form: str) -> None:
    echoed = forms_of(TOKEN)[form]
    body = f'{{"error": {{"message": "{echoed}", "code": "{echoed}"}}, "model": "{echoed}"}}'
    headers = {
        "x-request-id": TOKEN,
        "content-type": f"text/{TOKEN}",
        "location": f"https://host/{quote(TOKEN, safe='')}",
    }
    reply = hide_token(HttpReply(status, headers, body.encode()), TOKEN)
    with pytest.raises(CallError) as caught:
        read_answer(api_for(api), reply, TOKEN)
    error = caught.value
    shown = f"{error} {error.request_id} {dict(reply.headers)} {error.paid}".lower()
    assert not any(secret in shown for secret in ("0123456789", "mdEyMzQ1Njc4".lower(), "izndu2nzg5"))
    assert "***" in shown


def test_the_name_of_a_model_shows_no_token() -> None:
    body = (ANSWER % "x").replace("{", f'{{"model": "for {TOKEN.upper()}", ', 1)
    assert read_answer(CHAT, HttpReply(200, {}, body.encode()), TOKEN).model == "for ***"


def test_a_token_that_may_be_a_word_of_an_answer_stays_in_it() -> None:
    reply = HttpReply(200, {}, json.dumps({"text": "the box is EMPTY"}).encode())
    assert hide_token(reply, "EMPTY").body == reply.body
    assert hide_token(reply, None) is reply
    assert masked("what is x", "x") == "what is x"
