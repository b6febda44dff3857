"""Requests that are not answered: status, error code and message, as Databricks words them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway_batch.devgateway.ask import JsonObject

_LONGEST_NAME = 255

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    405: "BAD_REQUEST",
    409: "RESOURCE_CONFLICT",
    413: "REQUEST_TOO_LARGE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Refusal(Exception):
    """An answer other than 2xx.

    Args:
        status: the HTTP status.
        message: for the caller.
        error_code: Databricks' word; by default the usual one of the status.
        headers: to send along, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_code = error_code or CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
        self.headers = headers or {}


def invalid(message: str) -> Refusal:
    """A 400 that names the fault in the request."""
    return Refusal(400, message, error_code="INVALID_PARAMETER_VALUE")


def unknown_model(name: str, near: Sequence[str]) -> Refusal:
    """A 404 that names the services that may have been meant."""
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return Refusal(404, f"Endpoint with name {name[:_LONGEST_NAME]!r} does not exist.{meant}")


def databricks_error(refusal: Refusal) -> JsonObject:
    """The body of every refusal; the wire formats add their SDK's own `error` to it."""
    return {"error_code": refusal.error_code, "message": refusal.message, "details": []}


def openai_error(refusal: Refusal) -> JsonObject:
    """Databricks' body with the `error` object that the OpenAI SDK reads."""
    error = {
        "message": refusal.message,
        "type": "invalid_request_error" if refusal.status < 500 else "server_error",
        "param": None,
        "code": refusal.error_code,
    }
    return {**databricks_error(refusal), "error": error}


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def anthropic_error(refusal: Refusal) -> JsonObject:
    """Databricks' body with the `type` and `error` that the Anthropic SDK reads."""
    error = {"type": _ANTHROPIC_TYPES.get(refusal.status, "api_error"), "message": refusal.message}
    return {**databricks_error(refusal), "type": "error", "error": error}


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def gemini_error(refusal: Refusal) -> JsonObject:
    """Databricks' body with the `error` that the Google SDK reads."""
    status = _GOOGLE_STATUSES.get(refusal.status, "INTERNAL")
    error = {"code": refusal.status, "message": refusal.message, "status": status}
    return {**databricks_error(refusal), "error": error}
