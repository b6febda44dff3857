"""The usage table: made from the record's own columns."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql.types import StructType, _parse_datatype_json_string

from gateway_batch.spark.jvm import gateway_of
from gateway_batch.usage.record import UsageRecord, columns


def usage_ddl() -> str:
    """The usage table's columns as Spark DDL."""
    return ", ".join(f"{name} {sql_type}" for name, sql_type in columns(UsageRecord))


def record_type(spark: SparkSession) -> StructType:
    """The usage table's row type."""
    jvm = gateway_of(spark).jvm
    schema = _parse_datatype_json_string(jvm.org.apache.spark.sql.types.DataType.fromDDL(usage_ddl()).json())
    assert isinstance(schema, StructType)
    return schema


def create_usage_table(spark: SparkSession, table: str) -> None:
    """Makes the table, and its schema, if they are missing. The name is one that `GatewayConfig` has checked."""
    if spark.catalog.tableExists(table):
        return
    schema, _, _ = table.rpartition(".")
    if schema:
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    spark.sql(f"CREATE TABLE IF NOT EXISTS {quoted(table)} ({usage_ddl()}) USING DELTA")


def quoted(name: str) -> str:
    """A table's or schema's name with each part quoted."""
    return ".".join(f"`{part}`" for part in name.split("."))
