"""JSON Schema as its users mean it: patterns of ECMAScript, multiples of decimals, no references to other documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_DATA = frozenset({"const", "default", "enum", "example", "examples"})
"""Keywords whose values are data."""

_DASHES = re.compile(r"\\.|\[|\]|-")
_CLASSES = frozenset({"\\d", "\\D", "\\s", "\\S", "\\w", "\\W"})


class SchemaFault(Exception):
    """What is wrong with a schema, in a line."""


def check_schema(schema: Mapping[str, Any]) -> None:
    """Sees that a schema is one, by its draft; references are not followed.

    Raises:
        SchemaFault: it is none.
    """
    try:
        jsonschema_rs.meta.validate(ecma_schema(schema))
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise _fault(error) from None


def validator_of(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """Checks whether a value fits a schema.

    Raises:
        SchemaFault: it is no schema, or refers to what is not in it.
    """
    try:
        return jsonschema_rs.validator_for(ecma_schema(schema), retriever=_fetch_nothing)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise _fault(error) from None


def ecma_schema(schema: Any) -> Any:
    """A schema whose patterns mean to any reader what they mean to ECMAScript."""
    if isinstance(schema, list):
        return [ecma_schema(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {name: value if name in _DATA else _member(name, value) for name, value in schema.items()}


def _member(name: str, value: Any) -> Any:
    if name == "pattern" and isinstance(value, str):
        return ecma_pattern(value)
    if name == "patternProperties" and isinstance(value, Mapping):
        return {ecma_pattern(pattern): ecma_schema(each) for pattern, each in value.items()}
    if name in ("properties", "$defs", "definitions", "dependentSchemas") and isinstance(value, Mapping):
        return {inner: ecma_schema(each) for inner, each in value.items()}
    return ecma_schema(value)


def ecma_pattern(pattern: str) -> str:
    r"""A pattern with an escape before each dash that ECMAScript takes for itself: next to a class, as in `[\w-.]`."""
    parts, last, in_set, before = [], 0, False, ""
    for found in _DASHES.finditer(pattern):
        token = found[0]
        if found.start() > last:
            before = pattern[found.start() - 1]
        parts.append(pattern[last : found.start()])
        last = found.end()
        if token == "-" and in_set and (before in _CLASSES or pattern[last : last + 2] in _CLASSES):
            token = r"\-"
        elif token == "[" and not in_set:
            in_set = True
        elif token == "]":
            in_set = False
        parts.append(token)
        before = found[0]
    return "".join((*parts, pattern[last:]))


def _fetch_nothing(uri: str) -> Any:
    raise ValueError("it is not in the schema, and nothing is fetched")


def _fault(error: Exception) -> SchemaFault:
    message = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
    return SchemaFault(message.split("\n", 1)[0])
