"""Reads the fields of a request body, and refuses what can't be meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from gateway_batch.devgateway.ask import JsonObject, JsonSchema
from gateway_batch.devgateway.refusals import invalid
from gateway_batch.json_data.json_schemas import SchemaFault, check_schema

ANY_OBJECT: JsonSchema = {"type": "object"}
_SAMPLING = {"temperature": "temperature", "top_p": "top_p", "topP": "top_p", "seed": "seed"}


def required_text(body: JsonObject, name: str) -> str:
    """A string that has to be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"'{name}' is required and must be a non-empty string.")
    return value


def positive_integer(body: Mapping[str, Any], name: str) -> int | None:
    """A whole number above 0, None if absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"'{name}' must be a positive integer.")
    return value


def flag(body: JsonObject, name: str) -> bool:
    """A boolean, False if absent."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise invalid(f"'{name}' must be a boolean.")
    return value


def in_range(body: Mapping[str, Any], name: str, low: float, high: float) -> None:
    """Refuses a number outside its range."""
    value = body.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(f"'{name}' must be a number from {low:g} to {high:g}.")


def sampling(body: Mapping[str, Any]) -> dict[str, float]:
    """How the answer is to be sampled, as far as the body says so, by an `Ask`'s names."""
    return {ours: body[name] for name, ours in _SAMPLING.items() if type(body.get(name)) in (int, float)}


def objects(body: Mapping[str, Any], name: str) -> list[JsonObject]:
    """A list of objects that has to be there and not be empty."""
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise invalid(f"'{name}' is required and must be a non-empty list.")
    if not all(isinstance(element, dict) for element in value):
        raise invalid(f"'{name}' must be a list of objects.")
    return value


def optional_objects(body: Mapping[str, Any], name: str) -> list[JsonObject]:
    """A list of objects, empty if absent."""
    return objects(body, name) if body.get(name) else []


def optional_object(body: Mapping[str, Any], name: str) -> JsonObject:
    """An object, empty if absent."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"'{name}' must be an object.")
    return value


def stop_marks(value: object) -> tuple[str, ...]:
    """One string or several, at which an answer ends."""
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case list() if all(isinstance(mark, str) for mark in value):
            return tuple(value)
    raise invalid("stop sequences must be a string or a list of strings.")


def schema_of(value: object, where: str) -> JsonSchema:
    """A JSON schema that has to be there and be one."""
    if not isinstance(value, dict):
        raise invalid(f"'{where}' is required and must be a JSON schema.")
    if fault := _schema_fault(orjson.dumps(value)):
        raise invalid(f"'{where}' is not a valid JSON schema: {fault}")
    return value


@lru_cache(maxsize=1024)
def _schema_fault(schema: bytes) -> str | None:
    """Kept, as the same schema comes with every row of a query and looking it through takes milliseconds."""
    try:
        check_schema(orjson.loads(schema))
    except SchemaFault as error:
        return str(error)
    return None


def role_of(message: JsonObject, roles: Mapping[str, str], where: str) -> str:
    """A message's role, as an `Ask` names it."""
    role = message.get("role")
    if not isinstance(role, str) or role not in roles:
        raise invalid(f"'{where}': {role!r} is no role; there are {', '.join(roles)}.")
    return roles[role]


def is_marked(value: object) -> bool:
    """Whether a message's content has a part with `cache_control`."""
    return isinstance(value, list) and any(isinstance(part, dict) and part.get("cache_control") for part in value)


def content(value: object, images: Iterable[str], where: str = "content") -> tuple[str, int]:
    """A message's content, a string or typed parts, as its text and the number of its images.

    Args:
        value: the content.
        images: the part types that are images or other media.
        where: its name, for errors.
    """
    if value is None:
        return "", 0
    if isinstance(value, str):
        return value, 0
    if not isinstance(value, list):
        raise invalid(f"'{where}' must be a string or a list of parts.")
    texts, pictures = [], 0
    for part in value:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise invalid(f"'{where}': each part must be an object with a 'type'.")
        if part["type"] in images:
            pictures += 1
        elif isinstance(text := part.get("text", part.get("content", "")), str):
            texts.append(text)
    return "\n".join(texts), pictures
