"""From a SQL type to the JSON schema that structured output asks for."""

from __future__ import annotations

from pyspark.sql import types as t

from gateway_batch.types import JsonObject

_INTEGERS = (t.ByteType, t.ShortType, t.IntegerType, t.LongType)
_NUMBERS = (t.FloatType, t.DoubleType, t.DecimalType)


class UnsupportedTypeError(Exception):
    """A type that strict structured output has no schema for."""


def json_schema(data_type: t.DataType) -> JsonObject:
    """The schema of a type's JSON; structs are closed, and all of their fields required, as `strict` asks.

    Raises:
        UnsupportedTypeError: a MAP, BINARY or other type that no answer is asked for in.
    """
    match data_type:
        case t.StringType():
            return {"type": "string"}
        case t.BooleanType():
            return {"type": "boolean"}
        case t.DateType():
            return {"type": "string", "format": "date"}
        case t.TimestampType() | t.TimestampNTZType():
            return {"type": "string", "format": "date-time"}
        case t.ArrayType():
            return {"type": "array", "items": json_schema(data_type.elementType)}
        case t.StructType():
            return _object(data_type)
    if isinstance(data_type, _INTEGERS):
        return {"type": "integer"}
    if isinstance(data_type, _NUMBERS):
        return {"type": "number"}
    raise UnsupportedTypeError(f"The type {data_type.simpleString().upper()} is not supported.")


def _object(data_type: t.StructType) -> JsonObject:
    return {
        "type": "object",
        "properties": {field.name: json_schema(field.dataType) for field in data_type.fields},
        "required": data_type.fieldNames(),
        "additionalProperties": False,
    }
