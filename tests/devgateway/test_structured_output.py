"""Values for JSON schemas: they validate, and they come from the text where it has something."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from gateway_batch.devgateway.models.structure import value_for
from gateway_batch.devgateway.wire.gemini import json_schema

REVIEW = (
    "Review by Ana Lopez (ana@example.com) on 2026-03-04: The Coffee Maker from Acme Works broke after 12 days. "
    "It cost 79.90 and I am very disappointed. Rating: 2. Order number: AB-1234. See https://example.org/orders/7."
)


class Line(BaseModel):
    product: str
    quantity: int = Field(ge=1, le=99)
    unit_price: float | None = None


class Invoice(BaseModel):
    number: str = Field(pattern=r"^[A-Z]{2}-\d{4}$")
    customer: str = Field(min_length=3, max_length=12)
    lines: list[Line] = Field(min_length=1, max_length=2)
    note: str | None


class Node(BaseModel):
    name: str
    children: list[Node]


SCHEMAS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "a string": {"type": "string"},
    "a long string": {"type": "string", "minLength": 200, "maxLength": 210},
    "a short string": {"type": "string", "maxLength": 3},
    "a nullable string": {"type": ["string", "null"]},
    "null": {"type": "null"},
    "a constant": {"const": {"a": [1]}},
    "mixed enum": {"enum": [None, 3, "three"]},
    "integers in bounds": {"type": "integer", "minimum": 100, "maximum": 103},
    "strict bounds": {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    "a narrow number": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1},
    "multiples": {"type": "integer", "minimum": 10, "multipleOf": 7},
    "steps of a half": {"type": "number", "multipleOf": 0.5},
    "negative": {"type": "number", "maximum": -1},
    "a boolean": {"type": "boolean"},
    "patterns": {
        "type": "object",
        "properties": {
            "order": {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}$"},
            "iso": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "either": {"type": "string", "pattern": "^(yes|no)+$"},
            "word": {"type": "string", "pattern": r"^\w+$", "minLength": 5},
            "other": {"type": "string", "pattern": r"^[^a-z\d]{2,}$"},
        },
        "required": ["order", "iso", "either", "word", "other"],
    },
    "formats": {
        "type": "object",
        "properties": {
            kind: {"type": "string", "format": kind}
            for kind in ("date", "date-time", "email", "uri", "uuid", "ipv4", "time")
        },
    },
    "an array": {"type": "array", "items": {"type": "string"}},
    "just one": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 1},
    "many": {"type": "array", "items": {"type": "number"}, "minItems": 7},
    "distinct": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 4},
    "distinct members": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    "one that contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}, "minItems": 2},
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "a map of two": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 2},
    "a closed object": {"type": "object", "properties": {}, "additionalProperties": False},
    "required but not described": {"type": "object", "required": ["a", "b"]},
    "any of": {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string"}]},
    "any of or null": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 4}]},
    "one of": {"oneOf": [{"type": "number"}, {"type": "integer"}, {"type": "string"}]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "a property of any kind": {"type": "object", "properties": {"a": True, "b": {}}, "required": ["a", "b"]},
    "pydantic": Invoice.model_json_schema(),
    "recursive": Node.model_json_schema(),
    "one of the definitions": {
        "$defs": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "oneOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/a"}],
    },
    "a pointer": {
        "definitions": {"a/b": {"type": "integer"}},
        "type": "array",
        "items": {"$ref": "#/definitions/a~1b"},
    },
}


@pytest.mark.parametrize("text", [REVIEW, "", "?", "日本の湖は深い。", "no"], ids=["a review", "", "?", "ja", "no"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_the_value_validates(name: str, text: str) -> None:
    value = value_for(SCHEMAS[name], text)
    jsonschema.validate(value, SCHEMAS[name], cls=jsonschema.Draft202012Validator)
    assert value == value_for(SCHEMAS[name], text)


def test_a_form_is_filled_from_the_text() -> None:
    schema = {
        "type": "object",
        "properties": {
            "sentiment": {"enum": ["positive", "neutral", "negative"]},
            "rating": {"type": "integer"},
            "customerName": {"type": "string"},
            "email": {"type": "string"},
            "date": {"type": "string", "format": "date"},
            "url": {"type": "string"},
            "order": {"type": "string", "pattern": r"^[A-Z]{2}-\d{4}$"},
            "cost": {"type": "number"},
        },
    }
    assert value_for(schema, REVIEW) == {
        "sentiment": "negative",
        "rating": 2,
        "customerName": "Ana Lopez",
        "email": "ana@example.com",
        "date": "2026-03-04",
        "url": "https://example.org/orders/7",
        "order": "AB-1234",
        "cost": 79.9,
    }


def test_array_items_differ() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(set(value_for(schema, REVIEW))) == 2


def test_recursion_ends() -> None:
    value: Any = value_for(Node.model_json_schema(), REVIEW)
    depth = 0
    while value["children"]:
        value, depth = value["children"][0], depth + 1
    assert depth < 10


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#/$defs/none"},
        {"oneOf": [{"$ref": "https://example.org/schema"}]},
        {"type": "string", "pattern": "("},
        {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True, "minItems": 3},
    ],
)
def test_schemas_that_nothing_satisfies_get_a_value_all_the_same(schema: dict[str, Any]) -> None:
    value_for(schema, REVIEW)


def test_googles_schema_dialect_becomes_json_schema() -> None:
    google = {
        "type": "OBJECT",
        "properties": {
            "name": {"type": "STRING", "nullable": True, "maxLength": "5"},
            "tags": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1"},
            "size": {"anyOf": [{"type": "INTEGER"}, {"type": "NUMBER"}]},
        },
        "propertyOrdering": ["name", "tags", "size"],
    }
    assert json_schema(google) == {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"], "maxLength": 5},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "size": {"anyOf": [{"type": "integer"}, {"type": "number"}]},
        },
        "propertyOrdering": ["name", "tags", "size"],
    }


def _bounded(low_name: str, high_name: str) -> st.SearchStrategy[dict[str, int]]:
    bounds = st.tuples(st.integers(0, 20), st.integers(0, 20))
    return bounds.map(lambda pair: {low_name: min(pair), high_name: max(pair)})


_LEAVES = st.one_of(
    st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "null"}, {"type": "integer"}]),
    _bounded("minLength", "maxLength").map(lambda bounds: {"type": "string", **bounds}),
    _bounded("minimum", "maximum").map(lambda bounds: {"type": "integer", **bounds}),
    _bounded("minimum", "maximum").map(lambda bounds: {"type": "number", **bounds}),
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True).map(
        lambda members: {"enum": members}
    ),
    st.sampled_from([r"^\d{3}-[a-f]+$", "^(a|b){2,4}$", "[A-Z]x?", r"^\S+@\S+\.com$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
)


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.from_regex(re.compile("[a-z_]{1,6}"), fullmatch=True), inner, max_size=4)
    closed = properties.map(
        lambda found: {
            "type": "object",
            "properties": found,
            "required": list(found),
            "additionalProperties": False,
        }
    )
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
    )
    choices = st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    return st.one_of(closed, arrays, choices)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(schema=st.recursive(_LEAVES, _nested, max_leaves=8), text=st.sampled_from([REVIEW, "", "Lake 7"]))
def test_any_value_validates(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(value_for(schema, text), schema, cls=jsonschema.Draft202012Validator)
