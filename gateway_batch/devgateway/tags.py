"""The request-tags header."""

from __future__ import annotations

import orjson

from gateway_batch.devgateway.refusals import invalid

HEADER = "databricks-ai-gateway-request-tags"
_SPELLED = "Databricks-Ai-Gateway-Request-Tags"


def read_tags(header: str | None) -> dict[str, str]:
    """The tags in the header: a JSON object of strings. No header, no tags.

    Raises:
        Refusal: 400, naming what is wrong.
    """
    if header is None:
        return {}
    try:
        tags = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        raise invalid(f"{_SPELLED} is not JSON: {error}") from error
    if not isinstance(tags, dict):
        raise invalid(f"{_SPELLED} must be a JSON object of strings, not {_json_type(tags)}")
    for key, value in tags.items():
        if not isinstance(value, str):
            raise invalid(f"{_SPELLED}: the value of {key!r} must be a string, not {_json_type(value)}")
    return tags


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"
