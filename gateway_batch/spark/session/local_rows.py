"""Rows of this process as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as t
from pyspark.sql.pandas.types import to_arrow_schema


def frame_of(spark: SparkSession, rows: Iterable[Mapping[str, Any]], schema: t.StructType) -> DataFrame:
    """A DataFrame of few rows, which go to Spark as Arrow: a list of them would start Python workers to be read.

    Args:
        spark: the session.
        rows: values by column; a column that is missing is NULL. Times have a time zone.
        schema: their types.
    """
    return spark.createDataFrame(pa.Table.from_pylist(list(rows), to_arrow_schema(schema, timezone="UTC")), schema)
