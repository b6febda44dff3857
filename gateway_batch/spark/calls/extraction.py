"""The `schema` of `ai_extract`: names or typed fields, and the JSON schema of the answer. Pure; no Spark in here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.signature import invalid_value
from gateway_batch.types import JsonObject

_MOST_FIELDS = 256
_MOST_LEVELS = 12
_MOST_ENUM_VALUES = 500
_SCALARS = ("string", "number", "integer", "boolean")

Fields = dict[str, JsonObject]


def closed_object(properties: Fields) -> JsonObject:
    """The JSON schema of an object that has these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def fields_of(given: Any) -> Fields:
    """The fields to extract, each with its `type`.

    Args:
        given: an array of names, or JSON text of one, or JSON text of an object from name to
            `{"type": ..., "description": ...}`: `string`, `number`, `integer`, `boolean`, `enum` with `labels`,
            `array` with `items`, `object` with `properties`.

    Raises:
        AiFunctionError: it is none of these, or larger than Databricks takes.
    """
    found = given
    if isinstance(given, str):
        try:
            found = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise _invalid(f"expects JSON, but it is none: {error}") from None
    if isinstance(found, list):
        found = {name: {"type": "string"} for name in found if isinstance(name, str)} if _all_names(found) else None
    if not isinstance(found, dict) or not found:
        raise _invalid("expects an array of names, or an object from names to types")
    _check(found)
    return found


def schema_of_fields(fields: Fields, *, citations: bool, confidence: bool) -> JsonObject:
    """The JSON schema of the answer; each field may be null, as a text may lack it.

    Args:
        fields: from `fields_of`.
        citations: whether a field is an object with `value` and `citation_ids`.
        confidence: whether it has a `confidence_score` from 0 to 1.
    """

    def leaf(schema: JsonObject) -> JsonObject:
        if not citations and not confidence:
            return schema
        members: Fields = {"value": schema}
        if citations:
            members["citation_ids"] = {"type": "array", "items": {"type": "integer"}}
        if confidence:
            members["confidence_score"] = {"type": "number", "minimum": 0, "maximum": 1}
        return closed_object(members)

    return closed_object({name: _schema(field, leaf) for name, field in fields.items()})


def _schema(field: JsonObject, leaf: Callable[[JsonObject], JsonObject]) -> JsonObject:
    described = {"description": field["description"]} if field.get("description") else {}
    match field["type"]:
        case "object":
            inner = {name: _schema(member, leaf) for name, member in field["properties"].items()}
            return {**closed_object(inner), **described}
        case "array":
            return {"type": "array", "items": _schema(field["items"], leaf), **described}
        case "enum":
            return leaf({"type": ["string", "null"], "enum": [*field["labels"], None], **described})
    return leaf({"type": [field["type"], "null"], **described})


def _check(fields: Mapping[str, Any]) -> None:
    count, values = 0, 0
    waiting = [(name, field, 1) for name, field in fields.items()]
    while waiting:
        name, field, level = waiting.pop()
        count += 1
        values += _check_field(name, field)
        if level > _MOST_LEVELS:
            raise _invalid(f"is nested deeper than {_MOST_LEVELS} levels at {name!r}")
        if field["type"] == "object":
            waiting += [(inner, member, level + 1) for inner, member in field["properties"].items()]
        elif field["type"] == "array":
            waiting.append((name, field["items"], level + 1))
    if count > _MOST_FIELDS:
        raise _invalid(f"has more than {_MOST_FIELDS} fields: {count}")
    if values > _MOST_ENUM_VALUES:
        raise _invalid(f"has more than {_MOST_ENUM_VALUES} enum values: {values}")


def _check_field(name: str, field: Any) -> int:
    """Refuses a field that is none; returns how many enum values it has."""
    match field:
        case {"type": "object", "properties": dict() as properties} if properties:
            return 0
        case {"type": "array", "items": dict()}:
            return 0
        case {"type": "enum", "labels": [*labels]} if labels and _all_names(labels):
            return len(labels)
        case {"type": str() as written} if written in _SCALARS:
            return 0
    kinds = f"{', '.join(_SCALARS)}, enum with labels, array with items, object with properties"
    raise _invalid(f"gives the field {name!r} no type that there is; types are {kinds}")


def _all_names(values: list[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _invalid(why: str) -> AiFunctionError:
    return invalid_value("ai_extract", "schema", why)
