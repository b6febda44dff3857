"""What a batch job reads: a table, a path, a query or a DataFrame."""

from __future__ import annotations

import re
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.jobs.template import find_column
from gateway_batch.spark.files.bad_input import Faults
from gateway_batch.spark.files.tables import read_table
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.sql_text import quoted

_BEFORE = r"(\s|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/|\()*"
_QUERY = re.compile(rf"{_BEFORE}(SELECT|WITH|FROM|VALUES|TABLE)(\s|\(|/\*|--)", re.IGNORECASE)
_PART = r"([\w-]+|`(``|[^`])+`)"
_NAME = re.compile(rf"{_PART}(\.{_PART}){{0,2}}")


def read_source(spark: SparkSession, source: str | Path | DataFrame, faults: Faults | None = None) -> DataFrame:
    """The rows of a source.

    Args:
        spark: the session.
        source: a DataFrame; a query; the name of a table or view; the path of a CSV, JSON-lines, Parquet or Delta file
            or folder.
        faults: takes rows and lines of the file that can't be read; None: the first is an error.

    Raises:
        ConfigError: it is none of these, or a stream, or a row or line can't be read.
    """
    if not isinstance(source, str | Path):
        if source.isStreaming:
            raise ConfigError("source: is a stream: run the job on each micro-batch, in writeStream.foreachBatch")
        return source
    text = str(source)
    try:
        if _QUERY.match(text):
            return spark.sql(text)
        if not isinstance(source, Path) and _NAME.fullmatch(text):
            name = text if "`" in text else quoted(text)
            if spark.catalog.tableExists(name):
                return spark.table(name)
        if (path := Path(text).expanduser()).exists():
            return read_table(spark, path, faults)
    except PySparkException as error:
        raise ConfigError(f"source: {first_line(error)}") from None
    raise ConfigError(f"source: {text!r} is no table or view of the session, no path, and no query")


def check_keys(frame: DataFrame, keys: list[str]) -> list[str]:
    """The key columns as the source spells them.

    Raises:
        ConfigError: none is given, or one is no column.
    """
    if not keys:
        raise ConfigError("keys: name the columns that identify the source's rows")
    return [find_column(frame.columns, key, "keys") for key in dict.fromkeys(keys)]
