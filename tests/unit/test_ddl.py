from __future__ import annotations

import pytest
from pyspark.sql import types as t

from gateway_batch.spark.functions import ddl_of


@pytest.mark.parametrize(
    ("data_type", "ddl"),
    [
        (t.StringType(), "STRING"),
        (t.LongType(), "BIGINT"),
        (t.DecimalType(10, 2), "DECIMAL(10,2)"),
        (t.ArrayType(t.DoubleType()), "ARRAY<DOUBLE>"),
        (t.MapType(t.StringType(), t.DateType()), "MAP<STRING, DATE>"),
        (
            t.StructType([t.StructField("a b`c", t.ArrayType(t.StructType([t.StructField("Ü", t.IntegerType())])))]),
            "STRUCT<`a b``c`: ARRAY<STRUCT<`Ü`: INT>>>",
        ),
    ],
)
def test_a_type_is_written_as_ddl(data_type: t.DataType, ddl: str) -> None:
    assert ddl_of(data_type) == ddl
