"""How each API's refusals are read: their kind, their text, and the wait that they ask for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway_batch.apis import API_TYPES, api_for
from gateway_batch.apis.retry_hints import retry_after_s
from gateway_batch.errors import ErrorKind, RejectedError
from gateway_batch.types import (
    HttpReply,
)

CHAT = api_for("mlflow/v1/chat/completions")


def rejection(status: int, body: bytes, **headers: str) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        CHAT.parse(HttpReply(status, headers, body))
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, "bad_request"),
        (400, "bad_request"),
        (401, "authentication"),
        (403, "permission"),
        (404, "not_found"),
        (408, "timeout"),
        (409, "conflict"),
        (413, "too_large"),
        (422, "bad_request"),
        (429, "rate_limit"),
        (500, "server"),
        (503, "server"),
        (529, "overloaded"),
    ],
)
def test_a_status_has_its_kind(status: int, kind: str) -> None:
    assert rejection(status, b"{}").kind is ErrorKind(kind)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}, ErrorKind.RATE_LIMIT),
        ({"message": "pay first", "type": "insufficient_quota", "code": None}, ErrorKind.QUOTA),
        ({"message": "pay first", "code": "billing_hard_limit_reached"}, ErrorKind.QUOTA),
        (
            {"status": "RESOURCE_EXHAUSTED", "message": "m", "details": [{"violations": [{"quotaId": "ReqsPerDay"}]}]},
            ErrorKind.QUOTA,
        ),
        (
            {
                "status": "RESOURCE_EXHAUSTED",
                "message": "m",
                "details": [{"violations": [{"quotaId": "PerMinute"}]}],
            },
            ErrorKind.RATE_LIMIT,
        ),
    ],
)
def test_a_429_that_no_waiting_ends_is_no_rate_limit(error: dict[str, Any], kind: ErrorKind) -> None:
    assert rejection(429, orjson.dumps({"error": error})).kind is kind


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error_code": "BAD_REQUEST", "message": "no"}', "500: BAD_REQUEST: no"),
        (b'{"error": {"message": "no"}}', "500: no"),
        (b'{"type": "error", "error": {"type": "api_error", "message": "no"}}', "500: api_error: no"),
        (b'{"error": {"code": 500, "message": "no", "status": "INTERNAL"}}', "500: INTERNAL: no"),
        (b'[{"error": {"code": 500, "message": "no", "status": "INTERNAL"}}]', "500: INTERNAL: no"),
        (b'{"error_code": "A", "message": "no", "error": {"message": "other"}}', "500: A: no"),
        (b'{"message": "no"}', "500: no"),
        (b'{"error": "no"}', "500: no"),
        (b'{"detail": "no"}', "500: no"),
        (b'{"detail": [{"msg": "no", "input": "the prompt"}]}', "500: no"),
        (b"null", "500: null"),
        (b'[{"other": "the prompt"}]', "500: no message in 25 bytes of JSON"),
        (b'{"other": "the prompt"}', "500: no message in 23 bytes of JSON"),
        (b"<html>Bad gateway</html>\n", "500: <html>Bad gateway</html>"),
        (b"\xff\xfe", "500: \ufffd\ufffd"),
        (b"", "500: no message"),
    ],
)
def test_the_gateway_is_quoted_whatever_its_error_body_looks_like(body: bytes, message: str) -> None:
    assert str(rejection(500, body)) == message


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 5000,
        orjson.dumps({"error": {"message": "x" * 5000}}),
        orjson.dumps({"error_code": "x" * 5000, "message": "y"}),
        orjson.dumps(["x" * 5000]),
    ],
)
def test_a_long_error_body_is_cut(body: bytes) -> None:
    assert len(str(rejection(500, body))) <= 1010


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}], 3.5),
        ([1, {}, {"retryDelay": "0s"}], 0.0),
        ([{"retryDelay": "soon"}, {"retryDelay": "46.123456789s"}], 46.123456789),
        ([{"retryDelay": "-3s"}], None),
        ([{"retryDelay": "3"}], None),
        ([{"retryDelay": "9" * 400 + "s"}], None),
        ([{"retryDelay": "\u0663s"}], None),
        ([{"retryDelay": 3}], None),
        ([], None),
        ({"retryDelay": "3s"}, None),
    ],
)
def test_a_wait_in_googles_error_details_is_understood(details: Any, seconds: float | None) -> None:
    body = {"error": {"message": "no", "details": details}}
    assert rejection(429, orjson.dumps(body)).retry_after_s == seconds
    assert rejection(429, orjson.dumps([body])).retry_after_s == seconds


def test_a_wait_in_the_headers_comes_before_one_in_the_body() -> None:
    body = orjson.dumps({"error": {"message": "no", "details": [{"retryDelay": "3s"}]}})
    assert rejection(429, body, **{"retry-after": "7"}).retry_after_s == 7.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", ErrorKind.SERVER),
        ("rate_limit_exceeded", ErrorKind.RATE_LIMIT),
        ("invalid_prompt", ErrorKind.BAD_REQUEST),
        (None, ErrorKind.BAD_REQUEST),
    ],
)
def test_a_failed_response_is_rejected_by_the_kind_of_its_error(code: str | None, kind: ErrorKind) -> None:
    body = {"status": "failed", "error": {"code": code, "message": "x" * 5000}, "output": []}
    with pytest.raises(RejectedError) as caught:
        api_for("openai/v1/responses").parse(HttpReply(200, {}, orjson.dumps(body)))
    assert caught.value.kind is kind
    assert len(str(caught.value)) <= 1_000


@pytest.mark.parametrize("api", API_TYPES)
@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (429, ErrorKind.RATE_LIMIT, "429: no"),
        (503, ErrorKind.SERVER, "503: no"),
        ("server_error", ErrorKind.SERVER, "server_error: no"),
        ("unheard_of", ErrorKind.BAD_REQUEST, "unheard_of: no"),
        (None, ErrorKind.BAD_REQUEST, "no"),
        ([], ErrorKind.BAD_REQUEST, "no"),
    ],
)
def test_an_error_in_an_accepted_answer_is_an_error(api: str, code: Any, kind: ErrorKind, message: str) -> None:
    body = {"error": {"code": code, "message": "no"}}
    with pytest.raises(RejectedError) as caught:
        api_for(api).parse(HttpReply(200, {}, orjson.dumps(body)))
    assert (caught.value.kind, str(caught.value)) == (kind, message)
    assert caught.value.paid is not None


def test_a_long_reason_of_a_policy_is_cut() -> None:
    policy = {"name": "pii", "action": "deny", "reason": "x" * 50_000}
    reply = HttpReply(200, {}, orjson.dumps({"databricks_service_policy": policy}))
    with pytest.raises(RejectedError) as caught:
        CHAT.parse(reply)
    assert len(str(caught.value)) < 2_000


def test_a_policy_that_allows_is_no_error() -> None:
    body = {"choices": [{"message": {"content": "fine"}}], "databricks_service_policy": {"action": "allow"}}
    assert CHAT.parse(HttpReply(200, {}, orjson.dumps(body))).value == "fine"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://models.example/v1?signature=secret", "307: redirected to https://models.example/v1, which is not"),
        ("https://me:secret@models.example/v1", "307: redirected to https://models.example/v1, which is not followed"),
        ("/v2/chat", "307: redirected to /v2/chat, which is not followed: give that address"),
        ("http://[secret", "307: redirected to an address that is none"),
    ],
)
def test_a_redirect_says_where_to(location: str, says: str) -> None:
    with pytest.raises(RejectedError) as caught:
        CHAT.parse(HttpReply(307, {"location": location}, b""))
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


NOW = 1_792_580_000.0  # Wed, 21 Oct 2026 10:53:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "30s"}, 30.0),
        ({"retry-after": str(int(NOW) + 60)}, 60.0),
        ({"retry-after": str(int(NOW) - 60)}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "2678400"}, 2678400.0),
        ({"retry-after": "2678401"}, None),
        ({"retry-after": "1e308"}, None),
        ({"retry-after": "99999h"}, None),
        ({"retry-after": "Fri, 31 Dec 3000 23:59:59 GMT"}, None),
        ({"retry-after-ms": "1e300"}, None),
        ({"x-ratelimit-reset-tokens": "1e9s", "x-ratelimit-reset-requests": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2026 10:54:20 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2026 12:54:20 +0200"}, 60.0),
        ({"retry-after": "Wednesday, 21-Oct-26 10:54:20 GMT"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "9", "x-ratelimit-reset-requests": "60"}, 9.0),
        ({"x-ratelimit-reset-requests": "12"}, 12.0),
        ({"x-ratelimit-reset-requests": "1m30s"}, 90.0),
        ({"x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h0m0.5s"}, 3600.5),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": str(NOW + 30)}, 30.0),
        ({"x-ratelimit-reset": str(NOW - 30)}, 0.0),
        ({"x-ratelimit-reset-requests": "Wed, 21 Oct 2026 10:53:25 GMT"}, 5.0),
        ({"x-ratelimit-reset-requests": "2", "x-ratelimit-reset-tokens": "5"}, 5.0),
        (
            {
                "x-ratelimit-reset-requests": "60",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-tokens": "5",
                "x-ratelimit-remaining-tokens": "0",
            },
            5.0,
        ),
        ({"x-ratelimit-reset-requests": "60", "x-ratelimit-remaining-requests": "1"}, None),
    ],
)
def test_every_way_to_ask_for_a_wait_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after_s(headers, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("zone", ["", " -0000"])
def test_a_date_without_a_zone_is_utc_wherever_the_caller_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert retry_after_s({"retry-after": f"Wed, 21 Oct 2026 10:54:20{zone}"}, NOW) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Wed, 21 Oct 2026 10:54:20 +99999999999999",
        "9" * 400 + "s",
    ],
)
def test_a_wait_out_of_all_bounds_is_no_hint(value: str) -> None:
    assert retry_after_s({"retry-after": value}, NOW) is None
    assert retry_after_s({"x-ratelimit-reset-requests": value}, NOW) is None


def test_a_reset_in_milliseconds_of_the_epoch_is_understood() -> None:
    """As OpenRouter and others send it; read as seconds it is fifty thousand years ahead."""
    assert retry_after_s({"x-ratelimit-reset": f"{NOW + 30:.0f}000"}, NOW) == pytest.approx(30.0)


@pytest.mark.parametrize("content", ["", "half an ans", None])
@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        ({"code": 502, "message": "Provider disconnected"}, "server", "502: Provider disconnected"),
        ({"code": 429, "message": "slow down"}, "rate_limit", "429: slow down"),
        (None, "server", "the provider ended the answer with an error"),
    ],
)
def test_an_answer_that_a_provider_broke_off_is_an_error(content: Any, error: Any, kind: str, says: str) -> None:
    choice = {"finish_reason": "error", "message": {"content": content}, **({"error": error} if error else {})}
    with pytest.raises(RejectedError, match=says) as caught:
        CHAT.parse(HttpReply(200, {}, orjson.dumps({"choices": [choice], "usage": {"prompt_tokens": 5}})))
    assert caught.value.kind == kind
    assert caught.value.paid is not None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error"}, "overloaded"),
        ({"type": "rate_limit_error"}, "rate_limit"),
        ({"type": "api_error"}, "server"),
        ({"type": "invalid_request_error"}, "bad_request"),
        ({"code": "429"}, "rate_limit"),
        ({"code": "503"}, "overloaded"),
        ({"code": "invalid_prompt", "type": "server_error"}, "bad_request"),
        ({}, "bad_request"),
    ],
    ids=str,
)
@pytest.mark.parametrize("api", ["anthropic/v1/messages", "mlflow/v1/chat/completions"])
def test_an_error_in_a_200_is_what_its_code_or_its_type_says(api: str, error: dict[str, str], kind: str) -> None:
    body = {"type": "error", "error": {"message": "Overloaded", **error}}
    with pytest.raises(RejectedError, match="Overloaded") as caught:
        api_for(api).parse(HttpReply(200, {}, orjson.dumps(body)))
    assert caught.value.kind == kind
