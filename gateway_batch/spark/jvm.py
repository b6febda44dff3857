"""The way from a classic session to its JVM."""

from __future__ import annotations

from py4j.java_gateway import JavaGateway
from pyspark.sql import SparkSession


def gateway_of(spark: SparkSession) -> JavaGateway:
    """The session's py4j gateway; its `jvm` has Spark's own classes."""
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    return gateway
