"""What every API's answers have in common: JSON bodies, error bodies, token counts."""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway_batch.apis.refusals import kind_of_code, rejection
from gateway_batch.errors import ErrorKind, MalformedError, RejectedError
from gateway_batch.figures.tokens import MOST_TOKENS
from gateway_batch.json_data import lenient_json
from gateway_batch.types import HttpReply, InferenceResult, JsonObject

_MESSAGE_LIMIT = 1_000
_TOO_DEEP = re.compile("recursion|depth limit", re.IGNORECASE)  # as releases of orjson say it


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
            raise body_error(reply, kind_of_code(rest.get("type") if code is None else code, message), what, paid)


def count(block: Any, *path: str) -> int | None:
    """The count at a path of nested objects; None where there is none, or one that no request can have."""
    for key in path:
        if not isinstance(block, dict):
            return None
        block = block.get(key)
    return None if block is None else as_count(block)


def as_count(value: Any) -> int | None:
    """A whole number from 0 to `MOST_TOKENS`, also as 10.0; None for anything else."""
    if type(value) is int:
        return value if 0 <= value <= MOST_TOKENS else None
    return as_count(int(value)) if type(value) is float and value.is_integer() else None


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
