"""What a refusal is about, and what it says: one place for all wire formats, vendors and gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from gateway_batch.apis.refusal_words import BY_CODE, BY_PHRASE, NAMES_A_PARAMETER
from gateway_batch.apis.retry_hints import retry_after_s, retry_info_s, retry_words_s
from gateway_batch.errors import ErrorKind, RejectedError
from gateway_batch.json_data import lenient_json
from gateway_batch.types import HttpReply

_MESSAGE_LIMIT = 1_000
_CODE_NAMES = ("error_code", "code", "type", "status", "error_type", "reason", "__type", "finishReason")
_INNER_NAMES = (
    "error",
    "errors",
    "detail",
    "innererror",
    "inner_error",
    "metadata",
    "raw",
    "external_model_error",
    "external_model_message",
    "message",
)
_SAYS_LITTLE = re.compile(
    r"(?:provider returned error|received error from|upstream error|litellm\.\w+|error|bad request)"
    r"[^:]{0,60}:?[^:]{0,60}$",
    re.IGNORECASE,
)
_DEEPEST = 7  # a gateway's error around its provider's, around another's

_STATUSES = {
    401: ErrorKind.AUTHENTICATION,
    402: ErrorKind.QUOTA,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMIT,
    529: ErrorKind.OVERLOADED,
}

_UNTIL_SAID_OTHERWISE = frozenset(
    {ErrorKind.BAD_REQUEST, ErrorKind.SERVER, ErrorKind.PERMISSION, ErrorKind.QUOTA, ErrorKind.NOT_FOUND}
)
_NEVER_BETTER = frozenset({ErrorKind.TOO_LARGE, ErrorKind.QUOTA, ErrorKind.POLICY})
_FAULTS_OF_SERVERS = frozenset(range(500, 600))
_BY_WORDS_ALONE = {
    ErrorKind.QUOTA: frozenset({400, 402, 403}),
    ErrorKind.TOO_LARGE: frozenset({400, 403, 413, 422, 424, 500}),
    ErrorKind.AUTHENTICATION: frozenset({400, 403}),
    ErrorKind.POLICY: frozenset({400, 403, 422, 446, 451}),
    ErrorKind.OVERLOADED: frozenset({424, 425, 498}) | _FAULTS_OF_SERVERS,
    ErrorKind.NOT_FOUND: frozenset({400, 403, 422}),
    ErrorKind.RATE_LIMIT: _FAULTS_OF_SERVERS,
}
"""With which statuses a message's words tell the kind, the first that fits: a repeated prompt has words, too."""

_ASKED_FOR = re.compile(r"\blimit:?\s*(\d+)\b.{0,80}?\brequested:?\s*(?:about |around |~)?(\d+)", re.I | re.S)
_TOO_LARGE_AT_ALL = re.compile(
    r"request too large|too large for (?:model|the)|single request|even (?:a|one) single", re.I
)
_OF_A_DAY = re.compile(r"\bper[- ](?:day|month)\b|/ ?(?:day|month)\b|\b(?:daily|monthly)\b|\b[RT]PD\b", re.I)
_LONG_S = 3600.0
_NOT_READY = re.compile(r"model is not ready|model is (?:still |currently )?loading", re.I)
_LIMITS_OF_TOKENS = frozenset(
    {"anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-tokens-limit", "x-ratelimit-limit-tokens"}
)
_SHORT_OF_MONEY = re.compile(r"check your plan and billing", re.I)


@dataclass(frozen=True, slots=True)
class Words:
    """What a refusal's body says.

    Attributes:
        codes: the words and numbers that name its kind, from the outside in.
        shown_code: the one that people are shown.
        message: for people.
        text: all that it says.
        details: Google's `error.details`.
    """

    codes: tuple[str, ...] = ()
    shown_code: str | None = None
    message: str | None = None
    text: str = ""
    details: tuple[dict[str, Any], ...] = ()


def rejection(reply: HttpReply) -> RejectedError:
    """The error that a status other than 2xx stands for, with the service's own words."""
    body = _json(reply)
    words = words_of(body)
    wait_s = retry_after_s(reply.headers, reply.received_at)
    if wait_s is None:
        wait_s = retry_info_s(words.details)
    if wait_s is None and words.message is not None:
        wait_s = retry_words_s(words.message)
    text = words.message if body is not None else _plain_text(reply)
    kind = kind_of(reply.status, words, text or "" if body is None else words.text, wait_s)
    if kind is ErrorKind.RATE_LIMIT and _has_all_its_tokens(reply.headers):
        kind = ErrorKind.TOO_LARGE
    error = RejectedError(
        kind,
        f"{reply.status}: {_redirected(reply) or _shown(words, text, reply)}",
        status=reply.status,
        request_id=reply.request_id,
        retry_after_s=wait_s,
    )
    should_retry = {"true": True, "false": False}.get(reply.headers.get("x-should-retry", "").lower())
    error.should_retry = None if should_retry and kind in _NEVER_BETTER else should_retry
    return error


def kind_of(status: int, words: Words, text: str, wait_s: float | None = None) -> ErrorKind:
    """Why a call was refused.

    Args:
        status: the HTTP status, or the one that the body has in its place.
        words: the body's.
        text: the body's message, or the body itself where it is no JSON.
        wait_s: after which it would be answered, as the service says.
    """
    usual = kind_of_status(status)
    if usual is ErrorKind.RATE_LIMIT:
        return _kind_of_429(words, text, wait_s)
    if NAMES_A_PARAMETER.search(text) and usual is ErrorKind.BAD_REQUEST:
        return usual
    if usual not in _UNTIL_SAID_OTHERWISE:
        return usual
    coded = (BY_CODE[code.lower()] for code in words.codes if code.lower() in BY_CODE)
    worded = (kind for kind, statuses in _BY_WORDS_ALONE.items() if status in statuses and BY_PHRASE[kind].search(text))
    return next((kind for kind in (*coded, *worded) if kind not in (ErrorKind.SERVER, usual)), usual)


def kind_of_code(code: Any, message: str = "") -> ErrorKind:
    """What the code of an error in a 2xx's body stands for: a word, or an HTTP status."""
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and not isinstance(code, bool):
        return kind_of(code, Words(), message) if code >= 400 else ErrorKind.BAD_REQUEST
    if isinstance(code, str) and (kind := BY_CODE.get(code.lower())) is not None:
        return kind
    return kind_of(400, Words(), message)


def kind_of_status(status: int) -> ErrorKind:
    """What an HTTP status from 400 on stands for."""
    return _STATUSES.get(status) or (ErrorKind.SERVER if status >= 500 else ErrorKind.BAD_REQUEST)


def words_of(body: Any) -> Words:
    """What a refusal's body says, whichever server wrote it, another one's body inside its message included."""
    codes: list[str] = []
    texts: list[str] = []
    details: list[dict[str, Any]] = []
    shown_code: str | None = None
    for block in _blocks(body, _DEEPEST):
        values = [block.get(name) for name in _CODE_NAMES]
        codes += [str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
        details += [each for each in _list(block.get("details")) if isinstance(each, dict)]
        codes += [str(each["reason"]) for each in details if isinstance(each.get("reason"), str)]
        shown_code = shown_code or _shown_code(block)
        text = _message(block)
        if text and not any(text in known for known in texts):
            texts.append(text)
    says_enough = next((place for place, text in enumerate(texts) if not _SAYS_LITTLE.match(text)), len(texts))
    message = ": ".join(texts[: says_enough + 1]) or None
    return Words(tuple(dict.fromkeys(codes)), shown_code, message, "\n".join(texts), tuple(details))


def _kind_of_429(words: Words, text: str, wait_s: float | None) -> ErrorKind:
    """A 429 says that calls come too fast, unless no waiting helps: this one is too large, or the money is used up."""
    kinds = {BY_CODE.get(code.lower()) for code in words.codes}
    if ErrorKind.TOO_LARGE in kinds or _TOO_LARGE_AT_ALL.search(text):
        return ErrorKind.TOO_LARGE
    if (asked := _ASKED_FOR.search(text)) and int(asked[2][:18]) > int(asked[1][:18]):
        return ErrorKind.TOO_LARGE
    if ErrorKind.QUOTA in kinds or BY_PHRASE[ErrorKind.QUOTA].search(text) or _is_of_a_day(words):
        return ErrorKind.QUOTA
    if (wait_s is None or wait_s > _LONG_S) and _OF_A_DAY.search(text):
        return ErrorKind.QUOTA
    if _SHORT_OF_MONEY.search(text) and wait_s is None and not words.details:  # Google says so each minute
        return ErrorKind.QUOTA
    return ErrorKind.OVERLOADED if _NOT_READY.search(text) else ErrorKind.RATE_LIMIT


def _has_all_its_tokens(headers: Mapping[str, str]) -> bool:
    """Whether a minute's tokens are all there, and are too few for the call all the same."""
    return any(
        headers[name] == headers.get(name.replace("-limit", "-remaining", 1))
        for name in headers
        if name in _LIMITS_OF_TOKENS
    )


def _is_of_a_day(words: Words) -> bool:
    """Whether a quota of a day is used up, by Google's google.rpc.QuotaFailure."""
    return any(
        isinstance(violation, dict) and "PerDay" in str(violation.get("quotaId"))
        for detail in words.details
        for violation in _list(detail.get("violations"))
    )


def _blocks(body: Any, deepest: int) -> Iterator[dict[str, Any]]:
    """The objects of a refusal, from the outside in."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict) or not deepest:
        return
    yield body
    for name in _INNER_NAMES:
        inner = body.get(name)
        if isinstance(inner, str):
            inner = _json_in(inner)
        if inner is not None:
            yield from _blocks(inner, deepest - 1)


def _json_in(text: str) -> Any:
    """The JSON that a message is, or ends with, as a gateway's own words before its provider's body."""
    begin = text.find("{")
    if begin < 0:
        return None
    try:
        return lenient_json.loads(text[begin : text.rfind("}") + 1].encode(errors="replace"), exact=False)
    except (orjson.JSONDecodeError, ValueError):
        return None


def _shown_code(block: dict[str, Any]) -> str | None:
    """Databricks' `error_code`, Google's `error.status`, Anthropic's `error.type`."""
    match block:
        case {"error_code": str(code), "message": str()} | {"error": {"status": str(code), "message": str()}}:
            return code
        case {"type": "error", "error": {"type": str(code), "message": str()}}:
            return code
    return None


def _message(block: dict[str, Any]) -> str:
    """A block's own words; where they go on with JSON, what stands before it."""
    for name in ("message", "msg", "error", "detail", "error_description", "title"):
        text = block.get(name)
        if isinstance(text, str) and text.strip():
            if _json_in(text) is not None:
                text = text[: text.find("{")].removesuffix("b'").strip(" :-\n")
            where = _place(block)
            return f"{where}: {text}" if where and text else text
    return ""


def _place(block: dict[str, Any]) -> str:
    """The field of the request that a validator's error is about, as pydantic has it."""
    place = block.get("loc")
    names = [str(name) for name in place if isinstance(name, str | int)] if isinstance(place, list) else []
    return ".".join(names)[:200]


def _shown(words: Words, text: str | None, reply: HttpReply) -> str:
    """A refusal's text for people."""
    if text is None:  # an unknown shape may hold the request itself
        text = f"no message in {len(reply.body)} bytes of JSON"
    return (f"{words.shown_code}: {text}" if words.shown_code else text)[:_MESSAGE_LIMIT]


def _plain_text(reply: HttpReply) -> str | None:
    if reply.body[:1] in (b"{", b"["):
        return None
    return reply.body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or "no message"


def _json(reply: HttpReply) -> Any:
    """The body of a refused call; None if it is not JSON."""
    try:
        return lenient_json.loads(reply.body, exact=False)
    except orjson.JSONDecodeError:
        return None


def _redirected(reply: HttpReply) -> str | None:
    """Where a redirect points, without what may be secret in it."""
    location = reply.headers.get("location")
    if location is None or not 300 <= reply.status < 400:
        return None
    try:
        parts = urlsplit(location)
        target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        target = "an address that is none"
    return f"redirected to {target[:_MESSAGE_LIMIT]}, which is not followed: give that address"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
