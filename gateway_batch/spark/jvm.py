"""The way from a classic session to its JVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

if TYPE_CHECKING:  # a client of Spark Connect may be without py4j
    from py4j.java_gateway import JavaGateway


def gateway_of(spark: SparkSession) -> JavaGateway:
    """The session's py4j gateway; its `jvm` has Spark's own classes."""
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    return gateway
