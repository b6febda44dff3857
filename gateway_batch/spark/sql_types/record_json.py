"""A STRUCT as the JSON of a custom model's record: each number as SQL has it, times to the microsecond. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from pyspark.sql import types as t

TIMES = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
OPTIONS = {"ignoreNullFields": "false", **TIMES}
"""Of Spark's `to_json`; without TIMES it keeps milliseconds."""

_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
_WRITTEN = tuple(f'"{name}"' for name in _NO_NUMBERS)


def equal_names(data_type: t.DataType, path: str = "") -> Iterator[str]:
    """Names that a STRUCT in a type has more than once, with their paths: JSON would keep one of the values."""
    if isinstance(data_type, t.ArrayType):
        yield from equal_names(data_type.elementType, path)
    elif isinstance(data_type, t.MapType):
        yield from equal_names(data_type.valueType, path)
    elif isinstance(data_type, t.StructType):
        yield from (f"{path}{name}" for name in dict.fromkeys(data_type.names) if data_type.names.count(name) > 1)
        for field in data_type:
            yield from equal_names(field.dataType, f"{path}{field.name}.")


def name_given_twice(written: str) -> str | None:
    """A name that an object in a JSON text has more than once."""
    twice: list[str] = []

    def note(members: list[tuple[str, Any]]) -> None:
        counts = Counter(name for name, _ in members)
        twice.extend(name for name, count in counts.items() if count > 1)

    json.loads(written, object_pairs_hook=note)
    return twice[0] if twice else None


def has_floats(data_type: t.DataType) -> bool:
    """Whether a type has FLOAT or DOUBLE in it."""
    if isinstance(data_type, t.StructType):
        return any(has_floats(field.dataType) for field in data_type)
    if isinstance(data_type, t.MapType):
        return has_floats(data_type.valueType)
    return has_floats(data_type.elementType) if isinstance(data_type, t.ArrayType) else _is_float(data_type)


def without_nan(written: str, data_type: t.DataType) -> str:
    """JSON with null for what no JSON number is, for which Spark writes texts; texts of the same words stay."""
    if not any(word in written for word in _WRITTEN):
        return written
    value = json.loads(written, parse_float=_as_written, parse_int=_as_written)
    return orjson.dumps(_mended(value, data_type)).decode()


def _as_written(number: str) -> orjson.Fragment:
    return orjson.Fragment(number.encode())


def _mended(value: Any, data_type: t.DataType) -> Any:
    if isinstance(value, str):
        return None if _is_float(data_type) and value in _NO_NUMBERS else value
    if isinstance(value, list) and isinstance(data_type, t.ArrayType):
        return [_mended(each, data_type.elementType) for each in value]
    if isinstance(value, dict) and isinstance(data_type, t.MapType):
        return {key: _mended(each, data_type.valueType) for key, each in value.items()}
    if isinstance(value, dict) and isinstance(data_type, t.StructType):
        return {key: _mended(each, data_type[key].dataType) for key, each in value.items()}
    return value


def _is_float(data_type: t.DataType) -> bool:
    return isinstance(data_type, t.FractionalType) and not isinstance(data_type, t.DecimalType)
