"""The usage table and its like: made from a record's own columns, and brought up to them where they are older."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, StructType, _parse_datatype_json_string

from gateway_batch.spark.delta_tables.creation import make_table
from gateway_batch.spark.session.jvm import jvm_of
from gateway_batch.spark.session.sql_text import literal, quoted
from gateway_batch.usage import comments
from gateway_batch.usage.record import UsageRecord, columns, structs

_OF_EVERY_VERSION = {"request_id", "event_time", "client_metadata"}


def usage_ddl(row: type = UsageRecord) -> str:
    """The columns of the usage table, or of another record's, as Spark DDL."""
    return ", ".join(f"{name} {sql_type}" for name, sql_type in columns(row))


def record_type(spark: SparkSession, row: type = UsageRecord) -> StructType:
    """The row type of the usage table, or of another record's."""
    java_type = jvm_of(spark).java_class("org.apache.spark.sql.types.DataType")
    schema = _parse_datatype_json_string(java_type.fromDDL(usage_ddl(row)).json())
    assert isinstance(schema, StructType)
    return schema


def create_usage_table(spark: SparkSession, table: str) -> None:
    """Makes the table, and its schema, if they are missing. The name is one that `GatewayConfig` has checked."""
    create_table(spark, table, UsageRecord, comments.TABLE, comments.COLUMNS)


def create_table(spark: SparkSession, table: str, row: type, comment: str, column_comments: Mapping[str, str]) -> None:
    """Makes a Delta table of a record's columns, and its schema, if they are missing."""
    make_table(spark, table, table_ddl(table, row, comment, column_comments))


def table_ddl(table: str, row: type, comment: str, column_comments: Mapping[str, str]) -> str:
    """The statement that makes a Delta table of a record's columns if it is missing."""
    described = ",\n".join(
        f"  {name} {sql_type} COMMENT {literal(column_comments[name])}" for name, sql_type in columns(row)
    )
    return f"CREATE TABLE IF NOT EXISTS {quoted(table)} (\n{described}\n)\nUSING DELTA\nCOMMENT {literal(comment)}"


def add_missing_columns(spark: SparkSession, table: str) -> None:
    """Adds the columns that a usage table of an earlier version lacks, in their places; leaves other tables alone."""
    schema = spark.table(quoted(table)).schema
    if set(schema.names) >= _OF_EVERY_VERSION and (missing := missing_columns(schema)):
        spark.sql(f"ALTER TABLE {quoted(table)} ADD COLUMNS ({', '.join(missing)})")


def missing_columns(have: StructType, row: type = UsageRecord, path: str = "") -> list[str]:
    """Columns of a record that a row type lacks, inside its structs too, as `ADD COLUMNS` takes them."""
    missing, before = [], ""
    inner = {name: (struct, is_list) for name, struct, is_list in structs(row)}
    for name, sql_type in columns(row):
        if name not in have.names:
            missing.append(f"{path}{name} {sql_type} {f'AFTER {before}' if before else 'FIRST'}")
        elif name in inner:
            struct, is_list = inner[name]
            has = have[name].dataType
            has = has.elementType if isinstance(has, ArrayType) else has
            if isinstance(has, StructType):
                missing += missing_columns(has, struct, f"{path}{name}{'.element' if is_list else ''}.")
        before = name
    return missing
