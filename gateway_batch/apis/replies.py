"""What every API's answers have in common: JSON bodies, error bodies, token counts."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from gateway_batch.apis.retry_hints import retry_after_s, retry_info_s
from gateway_batch.errors import ErrorKind, MalformedError, RejectedError
from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.json_data import lenient_json
from gateway_batch.types import HttpReply, InferenceResult, JsonObject

CUT = "max_tokens was reached before any text"
FILTERED = "a content filter withheld the answer"
REFUSED = "the model refused"

_MESSAGE_LIMIT = 1_000
_TOO_DEEP = re.compile("recursion|depth limit", re.IGNORECASE)  # as releases of orjson say it

_KINDS = {
    401: ErrorKind.AUTHENTICATION,
    403: ErrorKind.PERMISSION,
    404: ErrorKind.NOT_FOUND,
    408: ErrorKind.TIMEOUT,
    409: ErrorKind.CONFLICT,
    413: ErrorKind.TOO_LARGE,
    429: ErrorKind.RATE_LIMIT,
}

_OUT_OF_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

# What a body's error code stands for; other words are faults of the request.
_CODES = {
    "server_error": ErrorKind.SERVER,
    "rate_limit_exceeded": ErrorKind.RATE_LIMIT,
    "bio_policy": ErrorKind.POLICY,
    "misalignment_policy_violation": ErrorKind.POLICY,
    "image_content_policy_violation": ErrorKind.POLICY,
    "insufficient_quota": ErrorKind.PERMISSION,
    # Anthropic's types, which come without their status where a gateway answers 200
    "api_error": ErrorKind.SERVER,
    "authentication_error": ErrorKind.AUTHENTICATION,
    "not_found_error": ErrorKind.NOT_FOUND,
    "overloaded_error": ErrorKind.SERVER,
    "permission_error": ErrorKind.PERMISSION,
    "rate_limit_error": ErrorKind.RATE_LIMIT,
    "request_too_large": ErrorKind.TOO_LARGE,
    "timeout_error": ErrorKind.TIMEOUT,
}


def json_object(reply: HttpReply, *, exact: bool = False) -> JsonObject:
    """The body of an accepted call.

    Args:
        reply: the call's.
        exact: whether its numbers are part of the answer, and stay as they are written.

    Raises:
        RejectedError: the status is not 2xx.
        MalformedError: the body is not JSON, or not an object.
    """
    if not 200 <= reply.status < 300:
        raise rejection(reply)
    try:
        body = lenient_json.loads(reply.body, exact=exact)
    except orjson.JSONDecodeError as error:
        is_a_models = len(reply.body) > lenient_json.MOST_MENDED or _TOO_DEEP.search(str(error)) is not None
        raise MalformedError(
            ErrorKind.INVALID_RESPONSE if is_a_models else ErrorKind.NOT_JSON,
            f"the answer is not JSON ({error}; {len(reply.body)} bytes, "
            f"content type {reply.headers.get('content-type', 'not given')})",
            status=reply.status,
            request_id=reply.request_id,
        ) from error
    if not isinstance(body, dict):
        raise invalid_response(reply, f"expected a JSON object, found {type(body).__name__}")
    return body


def invalid_response(reply: HttpReply, what: str, paid: InferenceResult | None = None) -> MalformedError:
    """A 2xx answer that lacks what its API promises."""
    return MalformedError(ErrorKind.INVALID_RESPONSE, what, status=reply.status, request_id=reply.request_id, paid=paid)


def text_result(
    reply: HttpReply, paid: InferenceResult, text: str | None, *, why_empty: str | None, where: str
) -> InferenceResult:
    """A chat answer's result. One that was cut or filtered is a result if it has text.

    Args:
        reply: the answer.
        paid: its model, tokens and finish reason.
        text: what the model said; None if the answer has none.
        why_empty: what would explain that there is no text: its end was cut, filtered or refused.
        where: the place of the text in this API's answers.

    Raises:
        MalformedError: there is no text, or an empty one and a reason for it.
    """
    if text or (text is not None and why_empty is None):
        return InferenceResult(text, paid.usage, paid.model, finish_reason=paid.finish_reason)
    raise invalid_response(reply, why_empty or f"no text at {where}", paid)


def rejection(reply: HttpReply) -> RejectedError:
    """The error that a status other than 2xx stands for, with the gateway's own words."""
    body = _json(reply)
    kind = kind_of_status(reply.status)
    message = _redirected(reply) or _message(reply, body)
    if kind is ErrorKind.RATE_LIMIT and _is_out_of_quota(body):
        kind = ErrorKind.PERMISSION
    wait_s = retry_after_s(reply.headers, reply.received_at)
    return RejectedError(
        kind,
        f"{reply.status}: {message}",
        status=reply.status,
        request_id=reply.request_id,
        retry_after_s=retry_info_s(body) if wait_s is None else wait_s,
    )


def body_error(reply: HttpReply, kind: ErrorKind, message: str, paid: InferenceResult) -> RejectedError:
    """The error in a 2xx's body, with what the call cost."""
    return RejectedError(kind, message[:_MESSAGE_LIMIT], status=reply.status, request_id=reply.request_id, paid=paid)


def check_policy(body: JsonObject, reply: HttpReply, paid: InferenceResult) -> None:
    """Refuses an answer that is a policy's denial.

    Raises:
        RejectedError: of kind `policy`, with what the call cost.
    """
    policy = body.get("databricks_service_policy")
    if isinstance(policy, dict) and policy.get("action") == "deny":
        what = f"the gateway's policy {policy.get('name')!r} denied the call: {policy.get('reason')}"
        raise body_error(reply, ErrorKind.POLICY, what, paid)


def check_error(body: JsonObject, reply: HttpReply, paid: InferenceResult) -> None:
    """Refuses an answer that reports an error in its body: a failed response, or a router's word for its provider's.

    Raises:
        RejectedError: of the kind that the error's `code`, a word or an HTTP status, or else its `type` stands for.
    """
    match body.get("error"):
        case {"message": str(message), **rest}:
            code = rest.get("code")
            what = f"{code}: {message}" if isinstance(code, str | int) else message
            raise body_error(reply, _kind_of_code(rest.get("type") if code is None else code), what, paid)


def _is_out_of_quota(body: Any) -> bool:
    """Whether a 429 means what no waiting ends: money or a day's quota is used up, and not that calls come too fast."""
    match body:
        case {"error": {"code": str(word)}} | {"error": {"type": str(word)}} if word in _OUT_OF_QUOTA:
            return True
        case {"error": {"details": [*details]}}:  # Google's google.rpc.QuotaFailure
            found = (detail.get("violations") for detail in details if isinstance(detail, dict))
            return any(
                isinstance(violation, dict) and "PerDay" in str(violation.get("quotaId"))
                for violations in found
                if isinstance(violations, list)
                for violation in violations
            )
    return False


def _kind_of_code(code: Any) -> ErrorKind:
    if isinstance(code, str) and code.isdecimal() and len(code) == 3:
        code = int(code)
    if isinstance(code, int):
        return kind_of_status(code)
    return _CODES.get(string(code) or "", ErrorKind.BAD_REQUEST)


def kind_of_status(status: int) -> ErrorKind:
    """What an HTTP status from 400 on stands for."""
    return _KINDS.get(status) or (ErrorKind.SERVER if status >= 500 else ErrorKind.BAD_REQUEST)


def _json(reply: HttpReply) -> Any:
    """The body of a refused call; an object where the body is a list that has one first. None if it is not JSON."""
    try:
        body = lenient_json.loads(reply.body, exact=False)
    except orjson.JSONDecodeError:
        return None
    match body:
        case [{"error": dict()} as first, *_]:  # Google's
            return first
    return body


def _message(reply: HttpReply, body: Any) -> str:
    """Databricks' `{error_code, message}`, Anthropic's, Google's or OpenAI's `error`, else what the body says."""
    match body:
        case {"error_code": str(code), "message": str(message)}:
            text = f"{code}: {message}"
        case {"type": "error", "error": {"type": str(code), "message": str(message)}}:
            text = f"{code}: {message}"
        case {"error": {"status": str(code), "message": str(message)}}:
            text = f"{code}: {message}"
        case {"error": {"message": str(message)}} | {"message": str(message)} | {"error": str(message)}:
            text = message
        case {"detail": str(message)} | {"detail": [{"msg": str(message)}, *_]}:
            text = message
        case None if reply.body[:1] not in (b"{", b"["):
            text = reply.body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or "no message"
        case _:  # an unknown shape may hold the request itself
            text = f"no message in {len(reply.body)} bytes of JSON"
    return text[:_MESSAGE_LIMIT]


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


def count(block: Any, *path: str) -> int | None:
    """The count at a path of nested objects; None where there is none, or one that no request can have."""
    for key in path:
        block = block.get(key) if isinstance(block, dict) else None
    return as_count(block)


def as_count(value: Any) -> int | None:
    """A whole number from 0 to `MOST_TOKENS`, also as 10.0; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def sum_of(*counts: int | None) -> int | None:
    """The counts together; None if one is not reported, or if no request can have so many."""
    total = 0
    for number in counts:
        if number is None:
            return None
        total += number
    return as_count(total)


def string(value: Any) -> str | None:
    """A string, None for anything else."""
    return value if isinstance(value, str) else None


def object_or_empty(value: Any) -> JsonObject:
    """A JSON object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}
