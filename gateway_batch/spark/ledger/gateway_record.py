"""A gateway's own record of its requests: a development gateway's file, a table, or a file that was exported."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files.tables import read_table
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.spark.sql_types.record_json import TIMES
from gateway_batch.usage.record import MIRRORED_COLUMNS, UsageRecord, columns

Ledger = str | os.PathLike[str] | DataFrame

_SQLITE = b"SQLite format 3\0"
_OURS = dict(columns(UsageRecord))
_TYPES = {name: _OURS[name] for name in MIRRORED_COLUMNS}
_KEY = "client_request_id"
_TABLE = re.compile(r"[^\s/\\]+")
_ROWS_A_BATCH = 10_000


def read_ledger(spark: SparkSession, ledger: Ledger, event_id_tag: str | None = None) -> DataFrame:
    """Its rows; those of its columns that `system.ai_gateway.usage` has are of the usage table's types.

    Args:
        spark: a session that knows the table, if it is one.
        ledger: path of a development gateway's SQLite file; path of a CSV, JSON-lines or Parquet file or of a folder of
            Parquet or Delta; name of a table; or a DataFrame. Maps, structs and lists may be their JSON text; a time
            without a zone is one of the session's.
        event_id_tag: the tag that has our event ids, if one may.

    Raises:
        ConfigError: there is no such ledger, or it has no column that requests are found by.
    """
    rows = _rows(spark, ledger)
    found_by = {"request_id", "client_request_id"} | ({"request_tags"} if event_id_tag is not None else set())
    if not found_by & set(rows.columns):
        raise ConfigError("ledger: it has neither a column request_id nor client_request_id to find requests by")
    types = {field.name: field.dataType.simpleString() for field in rows.schema}
    cast = {name: _as_ours(name, types[name]) for name in _TYPES if name in types}
    return rows.withColumns({name: column for name, column in cast.items() if column is not None})


def _as_ours(name: str, have: str) -> Column | None:
    """A column cast to the usage table's type, inside structs by names; None where it has that type already."""
    want = _TYPES[name]
    if have == want.lower().replace(": ", ":").replace(", ", ","):
        return None
    if not want.startswith(("MAP<", "STRUCT<", "ARRAY<")):
        return F.col(name).try_cast(want)
    parsed = F.from_json(F.col(name) if have == "string" else F.to_json(name, TIMES), want)
    return F.coalesce(parsed, F.expr("map()")) if name == "request_tags" else parsed


def is_table(spark: SparkSession, ledger: Ledger) -> bool:
    """Whether it is the name of a table, and of no file."""
    if not isinstance(ledger, str) or Path(ledger).exists() or not _TABLE.fullmatch(ledger):
        return False
    return spark.catalog.tableExists(_spelled(ledger))


def _spelled(table: str) -> str:
    return table if "`" in table else quoted(table)


def _rows(spark: SparkSession, ledger: Ledger) -> DataFrame:
    if isinstance(ledger, DataFrame):
        return ledger
    path = Path(ledger)
    if _is_sqlite(path):
        return spark.createDataFrame(_sqlite_table(path))
    if path.exists():
        return read_table(spark, path)
    if is_table(spark, ledger):
        return spark.table(_spelled(str(ledger)))
    raise ConfigError(f"ledger: {ledger} is neither a file nor a table")


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _sqlite_table(path: Path) -> pa.Table:
    """Its columns that we know: numbers, and texts, of which some are JSON."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            has = [name for _, name, *_ in database.execute("PRAGMA table_info(usage)")]
            schema = pa.schema([(name, _sqlite_type(name)) for name in (*_TYPES, _KEY) if name in has])
            rows = database.execute(f"SELECT {', '.join(schema.names) or '*'} FROM usage")
            batches = iter(lambda: rows.fetchmany(_ROWS_A_BATCH), [])
            return pa.Table.from_batches((_batch(batch, schema) for batch in batches), schema)
    except (sqlite3.DatabaseError, pa.ArrowException) as error:
        raise ConfigError(f"ledger: {path} is not a development gateway's ledger ({error})") from error


def _sqlite_type(name: str) -> pa.DataType:
    return pa.int64() if _TYPES.get(name) in ("INT", "BIGINT") else pa.string()


def _batch(rows: list[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    return pa.record_batch([pa.array(column, field.type) for column, field in zip(values, schema, strict=True)], schema)
