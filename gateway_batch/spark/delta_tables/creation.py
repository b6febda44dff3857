"""Makes Delta tables that others may be making too, or died while they made them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import literal, quoted
from gateway_batch.spark.session.temporary_view import as_view

_NOT_IN_PARQUET = frozenset(" ,;{}()\n\t=")

# What Delta says while another process makes the table, or has made it in a catalog that it doesn't share.
_LIES_THERE = "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
_ANOTHER_MAKES_IT = (_LIES_THERE, "DELTA_CONCURRENT_WRITE", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED")
_PAUSES_S = (0.2, 0.4, 0.8, 1.6)
_STATEMENT = re.compile(
    r"\s*(?P<create>CREATE TABLE IF NOT EXISTS \S+) \(\n(?P<columns>.+)\n\)\n(?P<clauses>.+)", re.DOTALL
)


def make_table(spark: SparkSession, table: str, statement: str) -> None:
    """Makes a Delta table, and its schema, if they are missing; makes one whole whose maker died.

    Args:
        spark: a session that may.
        table: the table's name.
        statement: `CREATE TABLE IF NOT EXISTS`, the name, the columns between brackets on lines of their own, clauses.

    Raises:
        PySparkException: it may not, or something else lies where the table belongs.
    """
    if spark.catalog.tableExists(quoted(table)):
        return
    schema, _, _ = table.rpartition(".")
    if schema:
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    for pause_s in _PAUSES_S:
        try:
            spark.sql(statement)
            return
        except WRITE_ERRORS as error:
            if not any(name in str(error) for name in _ANOTHER_MAKES_IT):
                raise
            if _LIES_THERE in str(error) and (_take_as_it_lies(spark, table) or _make_whole(spark, table, statement)):
                return
        time.sleep(pause_s)
    spark.sql(statement)


def add_columns(spark: SparkSession, table: str, columns: Iterable[str]) -> None:
    """Adds columns to a table, behind those that it has.

    Args:
        spark: a session that may.
        table: the table's name.
        columns: each with its type, and what else DDL says of it.

    Raises:
        PySparkException: it may not.
    """
    spark.sql(f"ALTER TABLE {quoted(table)} ADD COLUMNS ({', '.join(columns)})")


def _take_as_it_lies(spark: SparkSession, table: str) -> bool:
    """Takes a table that another session made where this session's catalog would have put it; False if it can't yet."""
    try:
        spark.sql(f"CREATE TABLE IF NOT EXISTS {quoted(table)} USING DELTA LOCATION {literal(_folder(spark, table))}")
    except WRITE_ERRORS:
        return False
    return True


def _make_whole(spark: SparkSession, table: str, statement: str) -> bool:
    """Makes a table in a folder with a log that has no commit yet; False if it can't, or another process was first.

    Delta's CREATE TABLE refuses such a folder, its CREATE TABLE AS does not. Whoever is making the table now, and isn't
    dead, loses against this commit, or wins, as the log's store orders them: on a local disk one JVM's only.
    """
    parts = _STATEMENT.fullmatch(statement)
    assert parts is not None, statement
    try:
        if _has_data(spark, _folder(spark, table)):
            return False
        with as_view(spark.createDataFrame([], parts["columns"])) as no_rows:
            spark.sql(f"{parts['create']}\n{parts['clauses']}\nAS\nSELECT * FROM {no_rows}")
    except WRITE_ERRORS:
        return False
    return True


def _has_data(spark: SparkSession, folder: str) -> bool:
    """Whether there are files in a folder next to a table's log, by any name that Spark would read."""
    files = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(folder)
    return not files.select("path").isEmpty()


def _folder(spark: SparkSession, table: str) -> str:
    """Where the session's catalog puts a table."""
    schema, _, name = table.rpartition(".")
    return f"{spark.catalog.getDatabase(quoted(schema or spark.catalog.currentDatabase())).locationUri}/{name.lower()}"


def needs_column_mapping(data_type: t.DataType) -> bool:
    """Whether a name in a type has what Delta takes in names only where it maps them to others."""
    if isinstance(data_type, t.StructType):
        return any(set(field.name) & _NOT_IN_PARQUET or needs_column_mapping(field.dataType) for field in data_type)
    if isinstance(data_type, t.MapType):
        return needs_column_mapping(data_type.keyType) or needs_column_mapping(data_type.valueType)
    return isinstance(data_type, t.ArrayType) and needs_column_mapping(data_type.elementType)
