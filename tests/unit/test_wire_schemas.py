"""Schemas on the wire: the same as the vendors' SDKs write, and within what the services take."""

from __future__ import annotations

import copy
from enum import Enum
from typing import Any

import orjson
import pytest
from anthropic import transform_schema
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field

from gateway_batch.apis import api_for
from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.apis.wire_schemas import wire_schema, with_missing_nulls
from gateway_batch.json_data.json_schemas import validator_of
from gateway_batch.spark.calls.extraction import fields_of, schema_of_fields
from gateway_batch.types import InferenceRequest, ResponseFormat, Service


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    """A part of a thing."""

    name: str = Field(min_length=1)
    weight: float = Field(gt=0, description="in kg")
    colour: Colour = Field(Colour.RED, description="as painted")
    note: str | None = None


class Thing(BaseModel):
    parts: list[Part] = Field(min_length=2)
    main: Part = Field(description="the first")
    seen: str = Field(json_schema_extra={"format": "date"})
    size: int | None = None


class Tree(BaseModel):
    inner: list[Tree] = []


@pytest.mark.parametrize("model", [Part, Thing, Tree])
def test_the_wire_has_what_the_vendors_sdks_write(model: type[BaseModel]) -> None:
    wanted = ResponseFormat(model.model_json_schema())
    assert wire_schema(wanted, Dialect.CHAT).schema == to_strict_json_schema(model)
    assert wire_schema(wanted, Dialect.RESPONSES).schema == to_strict_json_schema(model)
    assert wire_schema(wanted, Dialect.MESSAGES).schema == transform_schema(model)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"enum": ["x"]}]}}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": True}},
    ],
)
def test_what_openai_can_not_hold_an_answer_to_goes_out_as_advice(schema: dict[str, Any]) -> None:
    wire = wire_schema(ResponseFormat(schema), Dialect.CHAT)
    assert (wire.strict, wire.schema) == (False, schema)


def test_a_schema_without_required_is_completed_where_it_is_strict() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    strict = wire_schema(ResponseFormat(copy.deepcopy(schema)), Dialect.CHAT)
    assert strict.schema == {**schema, "required": ["a", "b"], "additionalProperties": False}
    assert wire_schema(ResponseFormat(schema, strict=False), Dialect.CHAT).schema == schema


@pytest.mark.parametrize(("fields", "on_wire"), [(16, True), (17, True), (40, True), (41, False)])
def test_claude_gets_no_more_unions_than_it_takes(fields: int, on_wire: bool) -> None:
    wanted = ResponseFormat(
        schema_of_fields(fields_of([f"f{i}" for i in range(fields)]), citations=False, confidence=False)
    )
    service = Service(endpoint="e", api="anthropic/v1/messages", url="https://h", model="claude-sonnet-4-5")
    body = orjson.loads(api_for(service.api).build(InferenceRequest("x", response_format=wanted), service).body)
    if not on_wire:
        assert "output_config" not in body
        assert f'"f{fields - 1}"' in body["system"]
        return
    schema = body["output_config"]["format"]["schema"]
    unions = [each for each in schema["properties"].values() if isinstance(each["type"], list)]
    assert len(unions) == 16
    assert len(schema["required"]) == 16
    filled = with_missing_nulls({name: "x" for name in schema["required"]}, wanted.schema)
    assert len(filled) == fields
    assert validator_of(wanted.schema or {}).is_valid(filled)


def test_only_what_may_be_null_is_filled() -> None:
    schema = {
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "string"},
            "b": {"items": {"required": ["c"], "properties": {"c": {"type": ["null", "string"]}}}},
        },
    }
    assert with_missing_nulls({"b": [{}]}, schema) == {"b": [{"c": None}]}


def test_gemini_gets_its_subset() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {"pattern": {"type": "string", "pattern": "^a$", "minLength": 2}, "k": {"const": 1}},
        "definitions": {"d": {"type": "integer", "exclusiveMinimum": 1, "minimum": 2}},
        "items": {"$ref": "#/definitions/d"},
    }
    assert wire_schema(ResponseFormat(schema), Dialect.GEMINI).schema == {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "k": {"enum": [1]}},
        "$defs": {"d": {"type": "integer", "minimum": 2}},
        "items": {"$ref": "#/$defs/d"},
    }


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object", "additionalProperties": {"type": "string"}}, {"$ref": "http://x"}, {"enum": [{}]}]
)
def test_what_claude_can_not_be_held_to_is_asked_for_in_words(schema: dict[str, Any]) -> None:
    assert wire_schema(ResponseFormat(schema), Dialect.MESSAGES).schema is None
