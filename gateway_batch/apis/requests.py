"""What every API's requests have in common: a POST of JSON."""

from __future__ import annotations

import orjson

from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import HttpRequest, JsonObject, Service


def json_request(service: Service, body: JsonObject, headers: dict[str, str] | None = None) -> HttpRequest:
    """The POST of a body to a service.

    Raises:
        CallError: of kind `bad_request`: JSON can't hold the body, such as half a surrogate pair or a number of more
            than 64 bits. Nothing was sent.
    """
    return HttpRequest(service.url, json_bytes(body), headers or {})


def json_bytes(value: JsonObject) -> bytes:
    """A part of a request as JSON.

    Raises:
        CallError: as `json_request`.
    """
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise CallError(ErrorKind.BAD_REQUEST, f"the request can't be written as JSON: {error}") from None
