"""Fixtures that classic and Spark Connect tests have in common; each folder's `conftest` takes them over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.conformance.echo import BODIES, TAGS

__all__ = ["echoed", "echoed_tags", "texts"]


@pytest.fixture
def echoed() -> list[dict[str, Any]]:
    """The bodies that the echo server gets during the test."""
    BODIES.clear()
    return BODIES


@pytest.fixture
def echoed_tags() -> list[dict[str, str]]:
    """The request tags that the echo server gets during the test, a dict of each request."""
    TAGS.clear()
    return TAGS


@pytest.fixture
def texts(spark: SparkSession) -> Iterator[DataFrame]:
    """A view `my_table` of 40 different texts in 4 partitions: `id`, `text_column`."""
    frame = spark.range(0, 40, 1, 4).selectExpr(
        "id", "concat('Lake ', id, ' is a deep and quiet lake.') AS text_column"
    )
    frame.createOrReplaceTempView("my_table")
    yield frame
    spark.catalog.dropTempView("my_table")
