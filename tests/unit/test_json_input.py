"""Files of JSON that Spark can't read as they are, tried without Spark."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import types as t

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files.bad_input import Faults
from gateway_batch.spark.files.exact_schema import exact_schema
from gateway_batch.spark.files.json_input import decimals_of, is_sound_document, objects_of

ONE, TWO = {"id": 1}, {"id": 2}


@pytest.mark.parametrize(
    ("content", "objects", "fault"),
    [
        ('[\n {"id": 1},\n {"id": 2}\n]\n', [ONE, TWO], None),
        ('{\n "id": 1\n}', [ONE], None),
        ('{"id": 1}\n\n{"id": secret}\n{"id": 2}', [ONE, TWO], "line 3 is no JSON: unexpected character"),
        ('{"id": 1}\n[1]\n', [ONE], "line 2 is no JSON object"),
        ('[{"id": 1}, "secret"]', [ONE], "element 2 is no JSON object"),
        ('{"id": 1}\n{"id":\n', [ONE], "line 2 is no JSON"),
        ("{'id': 1}\n{\"id\": 1}", [ONE], "line 1 is no JSON"),
        ('[{"id": 1},\n{"id": 2}\n', [TWO], "line 1 is no JSON"),
        ("", [], None),
        ('\ufeff[\n {"id": 1},\n {"id": 2}\n]\n', [ONE, TWO], None),
        ('\ufeff{"id": 1}\n{"id": 2}\n{bad\n', [ONE, TWO], "line 3 is no JSON"),
    ],
)
def test_what_cant_be_read_is_named_or_left_out(
    tmp_path: Path, content: str, objects: list[dict[str, int]], fault: str | None
) -> None:
    path = tmp_path / "in.json"
    path.write_text(content)

    def read(faults: Faults) -> list[dict[str, int]]:
        is_sound_document(path, faults)
        return [orjson.loads(text) for text in objects_of(path, faults)]

    if fault is None:
        assert read(Faults()) == objects
        return
    with pytest.raises(ConfigError) as caught:
        read(Faults())
    assert str(caught.value).startswith(f"{path}: {fault}")
    assert "secret" not in str(caught.value)
    faults = Faults(skip=True)
    assert read(faults) == objects
    assert faults.count == 1
    assert faults.first is not None
    assert faults.first.startswith(f"{path}: {fault}")


def test_nan_is_no_fault_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('{"a": NaN}\n{bad\n')
    faults = Faults(skip=True)
    assert list(objects_of(path, faults)) == [b'{"a": NaN}']
    assert faults.count == 1


def test_a_fraction_is_decimal_where_a_double_would_change_it() -> None:
    def schema(*numbers: t.DataType) -> t.StructType:
        nested = t.ArrayType(t.StructType().add("inner", numbers[0]))
        return (
            t.StructType()
            .add("nested", nested)
            .add("short", numbers[1])
            .add("far", numbers[2])
            .add("s", t.StringType())
        )

    double, long, short, far = t.DoubleType(), t.DecimalType(20, 4), t.DecimalType(15, 2), t.DecimalType(17, -299)
    asked = ("nested", "short", "far")
    found = exact_schema(schema(double, double, double), lambda: asked, lambda: schema(long, short, far))
    assert found == schema(long, double, double)
    kept = exact_schema(schema(double, double, double), lambda: ("far",), lambda: schema(long, short, far))
    assert kept == schema(double, double, double), "no number in there needs it"

    def refused() -> t.StructType:
        raise PySparkException("no")

    def never() -> set[str]:
        raise AssertionError("there is no DOUBLE, so that no file has to be read")

    assert exact_schema(schema(double, double, double), lambda: asked, refused) == schema(double, double, double)
    assert exact_schema(schema(long, long, long), never, refused) == schema(long, long, long)


def test_a_number_that_a_double_keeps_needs_no_decimal(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('{"a": 0.8378923459872349, "b": 123456789.5, "c": {"d": [0.12345678901234567890]}, "e": 1.50}\n')
    assert decimals_of([path]) == {"c"}
