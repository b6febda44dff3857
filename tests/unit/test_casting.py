from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import types as t

from gateway_batch.errors import AiFunctionError
from gateway_batch.spark.sql_types.casting import answer_reader, check_supported

TEXT = t.StringType()
PERSON = t.StructType().add("name", TEXT).add("age", t.IntegerType())
NEST = t.StructType().add("people", t.ArrayType(PERSON)).add("scores", t.MapType(TEXT, t.DoubleType()))
BERLIN = ZoneInfo("Europe/Berlin")


def read(data_type: t.DataType, answer: Any, zone: str = "Europe/Berlin") -> Any:
    return answer_reader(data_type, zone)(answer)


def mismatch(data_type: t.DataType, answer: Any) -> str:
    with pytest.raises(AiFunctionError) as caught:
        read(data_type, answer)
    assert caught.value.error_class == "AI_FUNCTION_HTTP_PARSE_CAST_ERROR"
    assert caught.value.sqlstate == "2203G"
    assert caught.value.__cause__ is None
    return caught.value.message


@pytest.mark.parametrize(
    ("data_type", "answer", "value"),
    [
        (TEXT, "plain", "plain"),
        (TEXT, '{"a": 1}', '{"a": 1}'),
        (TEXT, " spaces stay \n", " spaces stay \n"),
        (TEXT, "null", "null"),
        (t.BooleanType(), "true", True),
        (t.BooleanType(), " False\n", False),
        (t.BooleanType(), '"TRUE"', True),
        (t.ByteType(), "-128", -128),
        (t.ShortType(), "32767", 32767),
        (t.IntegerType(), " 42 \n", 42),
        (t.IntegerType(), "42.0", 42),
        (t.IntegerType(), "4.2e1", 42),
        (t.IntegerType(), '"42"', 42),
        (t.LongType(), "9223372036854775807", 2**63 - 1),
        (t.LongType(), "-9223372036854775808", -(2**63)),
        (t.FloatType(), "0.5", 0.5),
        (t.DoubleType(), "1e-3", 0.001),
        (t.DoubleType(), "7", 7.0),
        (t.DecimalType(10, 2), "1234.50", Decimal("1234.50")),
        (t.DecimalType(10, 2), "0.10", Decimal("0.10")),
        (t.DecimalType(10, 2), '"7"', Decimal("7.00")),
        (t.DecimalType(2, 2), "0.99", Decimal("0.99")),
        (t.DecimalType(2, 2), "0", Decimal("0.00")),
        (t.DateType(), "2024-02-29", date(2024, 2, 29)),
        (t.DateType(), '"2024-02-29"', date(2024, 2, 29)),
        (t.DateType(), "2024-02-29T10:00:00Z", date(2024, 2, 29)),
        (t.DateType(), "2024-02-29 23:30:00+09:00", date(2024, 2, 29)),
        (t.TimestampType(), "2024-02-29T10:00:00Z", datetime(2024, 2, 29, 10, tzinfo=UTC)),
        (t.TimestampType(), "2024-02-29 10:00:00", datetime(2024, 2, 29, 10, tzinfo=BERLIN)),
        (t.TimestampNTZType(), "2024-02-29 10:00:00.5", datetime(2024, 2, 29, 10, 0, 0, 500000)),  # noqa: DTZ001
        (t.ArrayType(TEXT), '["a", null, "b"]', ["a", None, "b"]),
        (t.ArrayType(TEXT), '[1, {"a": [true]}]', ["1", '{"a": [true]}']),
        (t.ArrayType(t.IntegerType()), " [1, 2.0, null] ", [1, 2, None]),
        (t.MapType(TEXT, t.LongType()), '{"a": 1, "b": null}', [("a", 1), ("b", None)]),
        (t.MapType(t.IntegerType(), TEXT), '{"1": "x"}', [(1, "x")]),
        (PERSON, '{"age": 3, "name": "Bo", "more": [1]}', {"name": "Bo", "age": 3}),
        (PERSON, '{"name": "Bo"}', {"name": "Bo", "age": None}),
        (PERSON, "{}", {"name": None, "age": None}),
        (
            NEST,
            '{"people": [{"name": "Bo", "age": 3}, null], "scores": {"x": 0.5}}',
            {"people": [{"name": "Bo", "age": 3}, None], "scores": [("x", 0.5)]},
        ),
    ],
)
def test_an_answer_is_read_as_the_type(data_type: t.DataType, answer: str, value: object) -> None:
    found = read(data_type, answer)
    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)  # a decimal's digits too


TYPES = [t.BooleanType(), t.LongType(), t.DoubleType(), t.DecimalType(5, 2), t.DateType(), t.TimestampType()]


@pytest.mark.parametrize("data_type", [*TYPES, t.ArrayType(TEXT), t.MapType(TEXT, TEXT), PERSON], ids=str)
def test_a_json_null_is_null(data_type: t.DataType) -> None:
    assert read(data_type, "null") is None
    assert read(data_type, None) is None
    assert read(t.ArrayType(data_type), "[null]") == [None]


@pytest.mark.parametrize(("zone", "hour"), [("Z", 10), ("+05:30", 4), ("-08:00", 18), ("Asia/Tokyo", 1)])
def test_a_time_without_an_offset_is_of_the_time_zone(zone: str, hour: int) -> None:
    found = read(t.TimestampType(), "2024-02-29 10:00:00", zone)
    assert found.astimezone(UTC).hour == hour


def test_a_number_that_a_server_wrote_as_nan_is_read_as_a_float_alone() -> None:
    assert math.isnan(read(t.DoubleType(), Decimal("NaN")))
    assert read(t.FloatType(), Decimal("-Infinity")) == -math.inf
    assert math.isnan(read(t.StructType().add("a", t.DoubleType()), {"a": Decimal("NaN")})["a"])
    for data_type in (t.IntegerType(), t.DecimalType(5, 2), t.BooleanType()):
        with pytest.raises(AiFunctionError, match="found a number"):
            read(data_type, Decimal("NaN"))


def test_a_vector_is_read_as_its_numbers() -> None:
    assert read(t.ArrayType(t.FloatType()), [0.5, -1, 3e-05]) == [0.5, -1.0, 3e-05]
    assert read(t.ArrayType(t.DoubleType()), [0.5]) == [0.5]


def test_a_vector_as_text_is_its_json() -> None:
    assert read(TEXT, [0.5, -1]) == "[0.5, -1]"


@pytest.mark.parametrize(
    ("data_type", "answer", "reason"),
    [
        (t.BooleanType(), "yes", "expected a boolean, found a string"),
        (t.BooleanType(), "1", "expected a boolean, found a number"),
        (t.IntegerType(), "about 42", "expected an integer, found a string"),
        (t.IntegerType(), "", "expected an integer, found a string"),
        (t.IntegerType(), "2024_01_01", "expected an integer, found a string"),
        (t.IntegerType(), "٤٢", "expected an integer, found a string"),
        (t.DoubleType(), "1_0e1_0", "expected a number, found a string"),
        (t.IntegerType(), "true", "expected an integer, found a boolean"),
        (t.IntegerType(), "[1]", "expected an integer, found an array"),
        (t.IntegerType(), "4.5", "the number is not an integer of 32 bits"),
        (t.IntegerType(), "2147483648", "the number is not an integer of 32 bits"),
        (t.ByteType(), "128", "the number is not an integer of 8 bits"),
        (t.LongType(), "9223372036854775808", "the number is not an integer of 64 bits"),
        (t.LongType(), "1e999999999", "the number is not an integer of 64 bits"),
        (t.DoubleType(), "NaN", "expected a number, found a string"),
        (t.DoubleType(), "Infinity", "expected a number, found a string"),
        (t.DoubleType(), '{"score": 1}', "expected a number, found an object"),
        (t.DecimalType(5, 2), "1000", "the number has too many digits for decimal(5,2)"),
        (t.DecimalType(5, 2), "999.995", "the number has too many digits for decimal(5,2)"),
        (t.DateType(), "tomorrow", "the string is not an ISO 8601 date or time"),
        (t.DateType(), "2024-02-29 or later", "the string is not an ISO 8601 date or time"),
        (t.DateType(), "20240229", "expected a date or time in a string, found a number"),
        (t.TimestampType(), "2024-02-30 10:00:00", "the string is not an ISO 8601 date or time"),
        (t.ArrayType(TEXT), "a, b", "the answer is not JSON"),
        (t.ArrayType(TEXT), '```json\n["a"]\n```', "the answer is not JSON"),
        (t.ArrayType(TEXT), "[NaN]", "the answer is not JSON"),
        (t.ArrayType(TEXT), '{"a": 1}', "expected an array, found an object"),
        (t.ArrayType(t.IntegerType()), '[1, "x"]', "expected an integer, found a string"),
        (t.MapType(TEXT, TEXT), "[]", "expected an object, found an array"),
        (PERSON, '"Bo"', "expected an object, found a string"),
        (PERSON, '{"age": "three"}', "expected an integer, found a string"),
        (NEST, '{"people": [[]]}', "expected an object, found an array"),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error_that_says_why(data_type: t.DataType, answer: str, reason: str) -> None:
    message = mismatch(data_type, answer)
    assert message.endswith(f"Exception: {reason}")
    assert f'returnType: "{data_type.simpleString()}"' in message


@pytest.mark.parametrize(
    "data_type", [*TYPES, t.ArrayType(TEXT), t.MapType(TEXT, TEXT), PERSON, t.ArrayType(PERSON)], ids=str
)
@pytest.mark.parametrize("answer", ["my private answer", '"my private answer"', '[["my private answer"]]'])
def test_the_answer_is_not_in_the_message(data_type: t.DataType, answer: str) -> None:
    if isinstance(data_type, t.ArrayType) and data_type.elementType == TEXT and answer.startswith("[["):
        answer = f"{answer}, oops"
    assert "private" not in mismatch(data_type, answer)


def test_a_decimal_is_rounded_as_spark_rounds() -> None:
    assert read(t.DecimalType(5, 2), "0.125") == Decimal("0.13")
    assert read(t.DecimalType(5, 2), "-0.125") == Decimal("-0.13")
    assert read(t.DecimalType(5, 0), "2.5") == Decimal(3)


@pytest.mark.parametrize(
    ("data_type", "answer"),
    [
        (t.DecimalType(38, 0), "9" * 38),
        (t.DecimalType(38, 18), "12345678901234567890.123456789012345678"),
        (t.DecimalType(38, 38), "0." + "1" * 38),
    ],
)
def test_a_decimal_is_exact_to_its_last_digit(data_type: t.DecimalType, answer: str) -> None:
    assert str(read(data_type, answer)) == answer


@pytest.mark.parametrize("number", ["1e40", "9" * 39, "1e999999", "-1e30"])
@pytest.mark.parametrize("data_type", [t.DecimalType(10, 2), t.DecimalType(38, 10)], ids=str)
def test_a_number_too_large_for_a_decimal_is_a_mismatch(data_type: t.DecimalType, number: str) -> None:
    assert "too many digits" in mismatch(data_type, number)


@pytest.mark.parametrize("number", ["1e9999999999999999999", "-1e99999999999999999999999"])
@pytest.mark.parametrize("data_type", [t.LongType(), t.DecimalType(10, 2), t.DoubleType()], ids=str)
def test_a_number_that_python_has_no_decimal_for_is_a_mismatch(data_type: t.DataType, number: str) -> None:
    mismatch(data_type, number)
    mismatch(t.ArrayType(data_type), f"[{number}]")


def test_an_integer_of_thousands_of_digits_is_a_mismatch() -> None:
    mismatch(t.LongType(), "9" * 5000)
    mismatch(t.ArrayType(t.LongType()), f"[{'9' * 5000}]")


def test_json_nested_without_end_is_a_mismatch() -> None:
    mismatch(t.ArrayType(TEXT), "[" * 200_000)


@pytest.mark.parametrize("answer", [r'["\ud800"]', r'["a\udfffb"]'])
def test_text_that_is_no_unicode_never_reaches_arrow(answer: str) -> None:
    """JSON can spell half a surrogate pair; encoding it later would end the partition."""
    try:
        values = read(t.ArrayType(TEXT), answer)
    except AiFunctionError:
        return
    for value in values:
        value.encode("utf-8")


@pytest.mark.parametrize(
    "data_type",
    [
        t.BinaryType(),
        t.NullType(),
        t.VariantType(),
        t.DayTimeIntervalType(),
        t.ArrayType(t.BinaryType()),
        t.MapType(TEXT, t.BinaryType()),
        t.ArrayType(t.StructType().add("a", TEXT).add("a", TEXT)),
        t.StructType().add("a", t.BinaryType()),
    ],
    ids=str,
)
def test_a_type_that_no_answer_can_have_is_refused(data_type: t.DataType) -> None:
    with pytest.raises(AiFunctionError) as caught:
        check_supported(data_type, "THE TYPE")
    assert caught.value.error_class == "AI_FUNCTION_UNSUPPORTED_RETURN_TYPE"
    assert 'The returnType "THE TYPE" of ai_query' in caught.value.message


@pytest.mark.parametrize("data_type", [*TYPES, TEXT, NEST], ids=str)
def test_a_type_that_answers_can_have_is_not_refused(data_type: t.DataType) -> None:
    check_supported(data_type, "THE TYPE")
