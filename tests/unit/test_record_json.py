from __future__ import annotations

import pytest
from pyspark.sql import types as t

from gateway_batch.spark.sql_types.record_json import equal_names, has_floats, name_given_twice, without_nan

TYPE = (
    t.StructType()
    .add("x", t.DoubleType())
    .add("name", t.StringType())
    .add("exact", t.DecimalType(38, 4))
    .add("list", t.ArrayType(t.FloatType()))
    .add("map", t.MapType(t.StringType(), t.StructType().add("y", t.DoubleType()).add("t", t.StringType())))
)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('{"x":1.50,"name":"NaN"}', '{"x":1.50,"name":"NaN"}'),
        ('{"x":"NaN","name":"NaN"}', '{"x":null,"name":"NaN"}'),
        ('{"x":"-Infinity","name":"Infinity"}', '{"x":null,"name":"Infinity"}'),
        ('{"list":[1.0,"NaN","Infinity",null]}', '{"list":[1.0,null,null,null]}'),
        ('{"map":{"NaN":{"y":"NaN","t":"NaN"}}}', '{"map":{"NaN":{"y":null,"t":"NaN"}}}'),
        (
            '{"x":"NaN","exact":12345678901234567890123.1230,"name":"1e5"}',
            '{"x":null,"exact":12345678901234567890123.1230,"name":"1e5"}',
        ),
        ('{"x":"NaN","list":[1E+30,10]}', '{"x":null,"list":[1E+30,10]}'),
        ('{"x":1.0,"name":null}', '{"x":1.0,"name":null}'),
    ],
)
def test_what_is_no_number_is_null_and_the_rest_is_as_it_was(written: str, sent: str) -> None:
    assert without_nan(written, TYPE) == sent


@pytest.mark.parametrize(
    ("written", "twice"),
    [
        ('{"a":1,"b":{"a":2}}', None),
        ('{"a":1,"a":1}', "a"),
        ('{"b":[{"c":1},{"id":1,"x":2,"id":3}]}', "id"),
        ("{}", None),
    ],
)
def test_a_name_that_an_object_has_twice(written: str, twice: str | None) -> None:
    assert name_given_twice(written) == twice


def test_names_that_a_struct_has_twice() -> None:
    inner = t.StructType().add("id", t.LongType()).add("ID", t.LongType()).add("id", t.StringType())
    outer = t.StructType().add("a", inner).add("b", t.ArrayType(inner)).add("c", t.MapType(t.StringType(), inner))
    assert list(equal_names(inner)) == ["id"]
    assert list(equal_names(outer)) == ["a.id", "b.id", "c.id"]
    assert list(equal_names(TYPE)) == []


@pytest.mark.parametrize(
    ("data_type", "has"),
    [(TYPE, True), (t.StructType().add("a", t.DecimalType(4, 2)), False), (t.ArrayType(t.LongType()), False)],
)
def test_types_with_floats(data_type: t.DataType, has: bool) -> None:
    assert has_floats(data_type) is has
