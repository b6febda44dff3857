from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.sql_types.casting import answer_reader

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
Typed = tuple[t.DataType, Any]


def _integers(data_type: t.DataType, bits: int) -> st.SearchStrategy[Typed]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(lambda value: (data_type, value))


@st.composite
def _decimals(draw: st.DrawFn) -> Typed:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    unscaled = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    sign, digits = (1, str(-unscaled)) if unscaled < 0 else (0, str(unscaled))
    return t.DecimalType(precision, scale), Decimal((sign, tuple(map(int, digits)), -scale))


SCALARS: st.SearchStrategy[Typed] = st.one_of(
    st.tuples(st.just(t.BooleanType()), st.booleans()),
    _integers(t.ByteType(), 8),
    _integers(t.ShortType(), 16),
    _integers(t.IntegerType(), 32),
    _integers(t.LongType(), 64),
    st.tuples(st.just(t.DoubleType()), st.floats(allow_nan=False, allow_infinity=False)),
    _decimals(),
    st.tuples(st.just(t.DateType()), st.dates()),
    st.tuples(st.just(t.TimestampType()), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.just(t.TimestampNTZType()), st.datetimes()),
)


@st.composite
def _structs(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    fields = draw(st.dictionaries(TEXT, inner, max_size=4))
    struct = t.StructType([t.StructField(name, data_type) for name, (data_type, _) in fields.items()])
    return struct, {name: value for name, (_, value) in fields.items()}


def _containers(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    many = st.integers(0, 3)
    return st.one_of(
        st.builds(lambda typed, n: (t.ArrayType(typed[0]), [typed[1], None, typed[1]][:n]), inner, many),
        st.builds(
            lambda typed, keys: (t.MapType(t.StringType(), typed[0]), [(key, typed[1]) for key in keys]),
            inner,
            st.lists(TEXT, max_size=3, unique=True),
        ),
        _structs(inner),
    )


TEXTS = st.tuples(st.just(t.StringType()), TEXT)
TYPED = st.recursive(SCALARS | _containers(TEXTS | SCALARS), _containers, max_leaves=5)


def as_json(data_type: t.DataType, value: Any) -> str:
    """A value as a model would write it."""
    match value, data_type:
        case None, _:
            return "null"
        case Decimal(), _:
            return f"{value:f}"
        case date() | datetime(), _:
            return json.dumps(value.isoformat())
        case list(), t.ArrayType():
            return f"[{', '.join(as_json(data_type.elementType, item) for item in value)}]"
        case list(), t.MapType():
            items = (f"{json.dumps(key)}: {as_json(data_type.valueType, item)}" for key, item in value)
            return f"{{{', '.join(items)}}}"
        case dict(), t.StructType():
            items = (f"{json.dumps(f.name)}: {as_json(f.dataType, value[f.name])}" for f in data_type.fields)
            return f"{{{', '.join(items)}}}"
    return json.dumps(value)


@settings(max_examples=400, deadline=None)
@given(TYPED)
def test_the_json_of_a_value_reads_back(typed: Typed) -> None:
    data_type, value = typed
    found = answer_reader(data_type, "UTC")(as_json(data_type, value))
    assert found == value
    assert type(found) is type(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ANSWERS = (
    JSON.map(json.dumps)
    | st.text(max_size=20)
    | st.from_regex(r"-?[0-9]{1,50}(\.[0-9]{1,50})?(e[+-]?[0-9]{1,25})?", fullmatch=True)
)


@settings(max_examples=300, deadline=None)
@given(TYPED, ANSWERS)
def test_any_answer_is_a_value_or_one_kind_of_error(typed: Typed, answer: str) -> None:
    data_type, _ = typed
    error_class = "AI_FUNCTION_HTTP_PARSE_CAST_ERROR"
    try:
        answer_reader(data_type, "UTC")(answer)
    except AiFunctionError as error:
        error_class = error.error_class
    assert error_class == "AI_FUNCTION_HTTP_PARSE_CAST_ERROR"
