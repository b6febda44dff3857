"""A gateway's own record of its requests: a development gateway's file, a table, or a file that was exported."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import MapType

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files import read_table

Ledger = str | os.PathLike[str] | DataFrame

_SQLITE = b"SQLite format 3\0"
_TYPES = pa.schema(
    [
        ("client_request_id", pa.string()),
        ("request_id", pa.string()),
        ("endpoint_name", pa.string()),
        ("api_type", pa.string()),
        ("status_code", pa.int32()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("request_tags", pa.map_(pa.string(), pa.string())),
    ]
)


def read_ledger(spark: SparkSession, ledger: Ledger, event_id_tag: str | None = None) -> DataFrame:
    """Its rows, with columns of `system.ai_gateway.usage`.

    Args:
        spark: a session that knows the table, if it is one.
        ledger: path of a development gateway's SQLite file; path of a CSV, JSON-lines or Parquet file or of a folder of
            Parquet or Delta; name of a table; or a DataFrame. Tags may be a map, or a JSON object's text.
        event_id_tag: the tag that has our event ids, if one may.

    Raises:
        ConfigError: there is no such ledger, or it has no column that requests are found by.
    """
    rows = _rows(spark, ledger)
    found_by = {"request_id", "client_request_id"} | ({"request_tags"} if event_id_tag is not None else set())
    if not found_by & set(rows.columns):
        raise ConfigError("ledger: it has neither a column request_id nor client_request_id to find requests by")
    types = {field.name: field.dataType for field in rows.schema}
    if "request_tags" in types and not isinstance(types["request_tags"], MapType):
        rows = rows.withColumn("request_tags", _tags("request_tags", types["request_tags"].simpleString()))
    return rows


def _tags(name: str, type_name: str) -> Column:
    text = F.col(name) if type_name == "string" else F.to_json(name)
    return F.coalesce(F.from_json(text, "MAP<STRING, STRING>"), F.expr("map()"))


def _rows(spark: SparkSession, ledger: Ledger) -> DataFrame:
    if isinstance(ledger, DataFrame):
        return ledger
    path = Path(ledger)
    if _is_sqlite(path):
        return spark.createDataFrame(pa.Table.from_pylist(list(_sqlite_rows(path)), schema=_TYPES))
    if path.exists():
        return read_table(spark, path)
    if isinstance(ledger, str) and spark.catalog.tableExists(ledger):
        return spark.table(ledger)
    raise ConfigError(f"ledger: {ledger} is neither a file nor a table")


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _sqlite_rows(path: Path) -> Iterator[dict[str, object]]:
    names = _TYPES.names
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            for values in database.execute(f"SELECT {', '.join(names)} FROM usage"):
                row = dict(zip(names, values, strict=True))
                row["request_tags"] = list(orjson.loads(row["request_tags"] or "{}").items())
                yield row
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"ledger: {path} is not a development gateway's ledger ({error})") from error
