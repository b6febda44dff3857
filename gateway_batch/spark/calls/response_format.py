"""The `responseFormat` of `ai_query`: its four forms, read as what the answer has to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError, ai_function_error
from gateway_batch.json_data.json_schemas import SchemaFault, validator_of
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.sql_types.json_schema import UnsupportedTypeError, json_schema
from gateway_batch.types import ResponseFormat

_TYPES = ("text", "json_object", "json_schema")


def parse_response_format(text: str, function: str, parse_type: Callable[[str], t.DataType]) -> ResponseFormat | None:
    """What an answer has to be; None for text.

    Args:
        text: `text` or `json_object`, JSON with a `type`, or the DDL of a STRUCT with one field that is a STRUCT.
        function: for errors.
        parse_type: from DDL to a type; raises PySparkException.

    Raises:
        AiFunctionError: of class AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE for a text that can't be read, or
            AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT for one that asks for what there is not.
    """
    written = text.strip()
    if written in ("text", "json_object"):
        return _of_type(written)
    if written.startswith("{"):
        return _of_json(written, function)
    return _of_ddl(written, function, parse_type)


def _of_type(name: str) -> ResponseFormat | None:
    return None if name == "text" else ResponseFormat()


def _of_json(text: str, function: str) -> ResponseFormat | None:
    try:
        wanted = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(text, function, "JSON", str(error)) from None
    kind = wanted.get("type")
    if kind in ("text", "json_object"):
        return _of_type(kind)
    if kind != "json_schema":
        error_class = "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.JSON_STRING"
        raise ai_function_error(error_class, function=function, kind=kind, text=text, types=", ".join(_TYPES))
    return _of_envelope(wanted.get("json_schema"), text, function)


def _of_envelope(envelope: Any, text: str, function: str) -> ResponseFormat:
    match envelope:
        case {"schema": dict() as schema}:
            pass
        case _:
            raise _invalid(text, function, "JSON", "json_schema must be an object with name and schema")
    try:
        validator_of(schema)
    except SchemaFault as error:
        raise _invalid(text, function, "JSON", f"the schema is not a JSON schema: {error}") from None
    name = envelope.get("name", "response")
    if not isinstance(name, str) or not name:
        raise _invalid(text, function, "JSON", "json_schema.name must be a string")
    return ResponseFormat(schema, name, strict=bool(envelope.get("strict", False)))


def _of_ddl(text: str, function: str, parse_type: Callable[[str], t.DataType]) -> ResponseFormat:
    try:
        outer = parse_type(text)
    except PySparkException as error:
        raise _invalid(text, function, "DDL", first_line(error)) from None
    if not isinstance(outer, t.StructType) or len(outer.fields) != 1:
        raise _unsupported_ddl(text, function, "Only one field is allowed on the top-level.")
    field = outer.fields[0]
    if not isinstance(field.dataType, t.StructType):
        found = type(field.dataType).__name__
        raise _unsupported_ddl(
            text, function, f"The top-level field `{field.name}` should be StructType, but found: {found}"
        )
    try:
        return ResponseFormat(json_schema(field.dataType), field.name)
    except UnsupportedTypeError as error:
        raise _unsupported_ddl(text, function, str(error)) from None


def _invalid(text: str, function: str, form: str, why: str) -> AiFunctionError:
    error_class = "AI_FUNCTION_INVALID_RESPONSE_FORMAT_TYPE"
    return ai_function_error(error_class, function=function, form=form, text=text, why=why)


def _unsupported_ddl(text: str, function: str, why: str) -> AiFunctionError:
    error_class = "AI_FUNCTION_UNSUPPORTED_RESPONSE_FORMAT.DDL_STRING"
    return ai_function_error(error_class, function=function, text=text, why=why)
