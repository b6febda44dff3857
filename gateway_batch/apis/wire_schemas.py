"""A JSON schema as each format takes it, as the vendors' SDKs write it. Pure.

What the wire can't say is left out there; the answer is still checked against the caller's own schema.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.requests import json_bytes
from gateway_batch.types import JsonObject, ResponseFormat

MOST_UNIONS = 16
MOST_OPTIONAL = 24
"""Anthropic's limits of a schema: parameters of several types, and parameters that are not required."""

_NAMED = ("properties", "$defs", "definitions")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_NOT_STRICT = frozenset(
    {
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contains",
        "prefixItems",
    }
)
_STRING_FORMATS = frozenset(
    {
        "date-time",
        "time",
        "date",
        "duration",
        "email",
        "hostname",
        "uri",
        "ipv4",
        "ipv6",
        "uuid",
    }
)
_OF_GEMINI = frozenset(
    {
        "$id",
        "$defs",
        "$ref",
        "$anchor",
        "type",
        "format",
        "title",
        "description",
        "enum",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "anyOf",
        "oneOf",
        "properties",
        "additionalProperties",
        "required",
        "propertyOrdering",
    }
)


@dataclass(frozen=True, slots=True)
class WireSchema:
    """What goes out for a schema.

    Attributes:
        schema: as the format takes it; None where it can't: it has to be asked for in words.
        strict: whether the service may hold the answer to it.
    """

    schema: JsonObject | None
    strict: bool = True


class _NotSaid(Exception):
    pass


def wire_schema(wanted: ResponseFormat, dialect: Dialect) -> WireSchema:
    """The schema of a response format that has one, for one format's wire. Not to be changed: calls share it."""
    return _adapted(json_bytes(dict(wanted.schema or {})), wanted.strict, dialect)


def with_missing_nulls(value: Any, schema: Any) -> Any:
    """An answer with null for each required member that it lacks and that may be null.

    Such members go out as optional ones where a service takes no more unions.
    """
    if isinstance(value, list) and isinstance(schema, Mapping) and isinstance(schema.get("items"), Mapping):
        return [with_missing_nulls(each, schema["items"]) for each in value]
    if not isinstance(value, dict) or not isinstance(schema, Mapping):
        return value
    members = schema.get("properties")
    if not isinstance(members, Mapping):
        return value
    required = schema.get("required")
    missing = {
        name: None
        for name in (required if isinstance(required, list) else ())
        if isinstance(name, str) and name not in value and _is_nullable(members.get(name))
    }
    return {name: with_missing_nulls(each, members.get(name)) for name, each in value.items()} | missing


@functools.lru_cache(256)
def _adapted(text: bytes, strict: bool, dialect: Dialect) -> WireSchema:
    schema = orjson.loads(text)
    if dialect is Dialect.GEMINI:
        return WireSchema(_gemini(schema))
    if dialect is Dialect.MESSAGES:
        try:
            return WireSchema(_within_limits(_messages(schema)))
        except (_NotSaid, AttributeError, TypeError):
            return WireSchema(None)
    if not strict:
        return WireSchema(schema, strict=False)
    try:
        if schema.get("type") != "object" and "$ref" not in schema:
            raise _NotSaid
        return WireSchema(_strict(copy.deepcopy(schema), schema))
    except (_NotSaid, RecursionError):
        return WireSchema(schema, strict=False)


def _strict(schema: Any, root: JsonObject, depth: int = 0) -> JsonObject:
    """OpenAI's strict form: closed objects whose members are all required."""
    if not isinstance(schema, dict) or schema.keys() & _NOT_STRICT or depth > 100:
        raise _NotSaid
    if schema.get("type") == "object" and schema.setdefault("additionalProperties", False) is not False:
        raise _NotSaid
    for name in _NAMED:
        if isinstance(members := schema.get(name), dict):
            schema[name] = {key: _strict(each, root, depth + 1) for key, each in members.items()}
    if isinstance(schema.get("properties"), dict):
        schema["required"] = list(schema["properties"])
    if "items" in schema:
        schema["items"] = _strict(schema["items"], root, depth + 1)
    if isinstance(any_of := schema.get("anyOf"), list):
        schema["anyOf"] = [_strict(each, root, depth + 1) for each in any_of]
    match schema.get("allOf"):
        case [only]:
            schema |= _strict(only, root, depth + 1)
            del schema["allOf"]
        case [_, *_]:
            raise _NotSaid
    if schema.get("default", ...) is None:
        del schema["default"]
    if len(schema) > 1 and isinstance(ref := schema.get("$ref"), str):
        inner = copy.deepcopy(_resolved(root, ref))
        merged = {**schema, **inner, **schema}
        del merged["$ref"]
        return _strict(merged, root, depth + 1)
    return schema


def _resolved(root: JsonObject, ref: str) -> JsonObject:
    found: Any = root
    for part in ref.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not ref.startswith("#/"):
        raise _NotSaid
    return found


def _messages(given: JsonObject) -> JsonObject:
    """Anthropic's form: what it has no keyword for goes into the description."""
    if not isinstance(given, dict):
        raise _NotSaid
    left, said = dict(given), JsonObject()
    if (defs := left.pop("$defs", None)) is not None:
        said["$defs"] = {name: _messages(each) for name, each in defs.items()}
    if (ref := left.pop("$ref", None)) is not None:
        if not str(ref).startswith("#"):
            raise _NotSaid
        return {**said, "$ref": ref}
    kind = _literals_or_type(left, said)
    for name in ("description", "title"):
        if (text := left.pop(name, None)) is not None:
            said[name] = text
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" in kinds:
        _close_object(left, said)
    if "string" in kinds and left.get("format") in _STRING_FORMATS:
        said["format"] = left.pop("format")
    if "array" in kinds:
        if (items := left.pop("items", None)) is not None:
            said["items"] = _messages(items)
        if left.get("minItems") in (0, 1):
            said["minItems"] = left.pop("minItems")
    if left:
        rest = "{" + ", ".join(f"{name}: {value}" for name, value in left.items()) + "}"
        said["description"] = f"{said['description']}\n\n{rest}" if "description" in said else rest
    return said


def _literals_or_type(left: JsonObject, said: JsonObject) -> Any:
    """Moves what says the kind of value; returns the type, None where something else says it."""
    kind = left.pop("type", None)
    unions = {name: left.pop(name, None) for name in ("anyOf", "oneOf", "allOf")}
    if isinstance(values := left.get("enum"), list) and values and all(map(_is_primitive, values)):
        said["enum"] = left.pop("enum")
    if "const" in left and _is_primitive(left["const"]):
        said["const"] = left.pop("const")
    has_literals = bool(said.keys() & {"enum", "const"})
    name, variants = next(((name, each) for name, each in unions.items() if isinstance(each, list)), ("", None))
    if variants is not None:
        said["allOf" if name == "allOf" else "anyOf"] = [_messages(each) for each in variants]
    elif not has_literals:
        if kind is None:
            raise _NotSaid
        said["type"] = kind
    return None if has_literals else kind


def _close_object(left: JsonObject, said: JsonObject) -> None:
    if left.get("additionalProperties") not in (None, False, True):
        raise _NotSaid  # a map: closed, it would hold nothing
    if left.get("additionalProperties") is True and not left.get("properties"):
        raise _NotSaid
    said["properties"] = {name: _messages(each) for name, each in left.pop("properties", {}).items()}
    left.pop("additionalProperties", None)
    said["additionalProperties"] = False
    if (required := left.pop("required", None)) is not None:
        said["required"] = required


def _within_limits(schema: JsonObject) -> JsonObject:
    """With as many unions as Anthropic takes: further nullable members become optional ones without null."""
    excess = sum(_is_union(each) for each in _schemas(schema)) - MOST_UNIONS
    if excess <= 0:
        return schema
    for holder in _schemas(schema):
        members, required = holder.get("properties", {}), holder.get("required", [])
        for name in list(members):
            plain = _without_null(members[name]) if name in required and excess > 0 else None
            if plain is not None:
                members[name] = plain
                required.remove(name)
                excess -= 1
    optional = sum(len(each.get("properties", {})) - len(each.get("required", [])) for each in _schemas(schema))
    if excess > 0 or optional > MOST_OPTIONAL:
        raise _NotSaid
    return schema


def _without_null(schema: JsonObject) -> JsonObject | None:
    match schema:
        case {"type": [str(one), "null"] | ["null", str(one)]}:
            return {**schema, "type": one}
        case {"anyOf": [dict(one), {"type": "null"}] | [{"type": "null"}, dict(one)]}:
            return {**{name: each for name, each in schema.items() if name != "anyOf"}, **one}
    return None


def _is_union(schema: JsonObject) -> bool:
    return isinstance(schema.get("type"), list) or "anyOf" in schema


def _schemas(schema: Any) -> Iterator[JsonObject]:
    """A schema and all inside it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for name in _NAMED:
        for each in list(schema.get(name, {}).values()):
            yield from _schemas(each)
    for name in _LISTED:
        for each in schema.get(name, ()):
            yield from _schemas(each)
    yield from _schemas(schema.get("items"))


def _gemini(schema: Any) -> Any:
    """Google's subset of JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if name in _OF_GEMINI}
    if "const" in schema:
        kept.setdefault("enum", [schema["const"]])
    if "definitions" in schema:
        kept["$defs"] = {**schema["definitions"], **kept.get("$defs", {})}
    if isinstance(ref := kept.get("$ref"), str):
        kept["$ref"] = ref.replace("#/definitions/", "#/$defs/", 1)
    each: Callable[[Any], Any] = _gemini
    for name in ("properties", "$defs"):
        if isinstance(kept.get(name), dict):
            kept[name] = {inner: each(value) for inner, value in kept[name].items()}
    for name in ("anyOf", "oneOf", "prefixItems"):
        if isinstance(kept.get(name), list):
            kept[name] = [each(value) for value in kept[name]]
    for name in ("items", "additionalProperties"):
        if name in kept:
            kept[name] = each(kept[name])
    return kept


def _is_nullable(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return True
    return any(_is_nullable(each) for each in schema.get("anyOf") or ())


def _is_primitive(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def schema_in_words(schema: Mapping[str, Any]) -> str:
    """What asks for a schema where the wire can't carry it."""
    return f"The object must fit this JSON schema: {json.dumps(dict(schema), ensure_ascii=False)}"
