from __future__ import annotations

import json

import pytest
from pyspark.errors import ParseException
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.calls.response_format import parse_response_format
from gateway_batch.spark.sql_types.json_schema import json_schema
from gateway_batch.types import ResponseFormat

LABELLED = t.StructType().add("out", t.StructType().add("label", t.StringType()).add("score", t.DoubleType()))
TYPES: dict[str, t.DataType] = {
    "labelled": LABELLED,
    "string": t.StringType(),
    "two": t.StructType().add("a", LABELLED).add("b", LABELLED),
    "array": t.StructType().add("x", t.ArrayType(t.StringType())),
    "map": t.StructType().add("x", t.StructType().add("m", t.MapType(t.StringType(), t.StringType()))),
}


def parse_type(ddl: str) -> t.DataType:
    if ddl not in TYPES:
        raise ParseException(f"no type {ddl}\nand a second line")
    return TYPES[ddl]


def parsed(text: str) -> ResponseFormat | None:
    return parse_response_format(text, "ai_query", parse_type)


def envelope(**more: object) -> str:
    return json.dumps({"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}, **more}})


@pytest.mark.parametrize("text", ["text", " text ", '{"type": "text"}'])
def test_text_asks_for_nothing(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize("text", ["json_object", '{"type": "json_object"}'])
def test_json_object_asks_for_any(text: str) -> None:
    assert parsed(text) == ResponseFormat()


def test_an_envelope_has_its_schema() -> None:
    assert parsed(envelope(strict=True)) == ResponseFormat({"type": "object"}, "out", strict=True)
    assert parsed(envelope()) == ResponseFormat({"type": "object"}, "out", strict=False)


def test_a_ddl_is_the_schema_of_its_inner_struct() -> None:
    assert parsed("labelled") == ResponseFormat(
        {
            "type": "object",
            "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
            "required": ["label", "score"],
            "additionalProperties": False,
        },
        "out",
        strict=True,
    )


@pytest.mark.parametrize(
    ("text", "error_class", "why"),
    [
        ("{broken", "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE", "requires a valid JSON string"),
        ("nothing", "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE", "Exception: no type nothing"),
        ("two", "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING", "Only one field is allowed on the top-level."),
        ("string", "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING", "Only one field is allowed"),
        (
            "array",
            "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING",
            "The top-level field `x` should be StructType, but found: ArrayType",
        ),
        ("map", "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING", "MAP<STRING,STRING> is not supported"),
        (
            '{"type": "object", "properties": {}}',
            "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.JSON_STRING",
            'does not support the type "object"',
        ),
        ('{"schema": {}}', "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.JSON_STRING", "text, json_object, json_schema"),
        ('{"type": "json_schema"}', "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE", "must be an object with name"),
        (envelope(schema={"type": "nonsense"}), "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE", "not a JSON schema"),
        (envelope(name=5), "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE", "name must be a string"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, error_class: str, why: str) -> None:
    with pytest.raises(AiFunctionError) as caught:
        parsed(text)
    assert caught.value.error_class == error_class
    assert caught.value.sqlstate == "0A000"
    assert why in caught.value.message
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data_type", "schema"),
    [
        (t.IntegerType(), {"type": "integer"}),
        (t.DecimalType(10, 2), {"type": "number"}),
        (t.BooleanType(), {"type": "boolean"}),
        (t.DateType(), {"type": "string", "format": "date"}),
        (t.TimestampType(), {"type": "string", "format": "date-time"}),
        (t.ArrayType(t.LongType()), {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_each_type_has_its_schema(data_type: t.DataType, schema: object) -> None:
    assert json_schema(data_type) == schema
