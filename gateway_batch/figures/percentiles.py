"""Latency percentiles: interpolated at (n - 1) p between the two nearest values, over answered invocations.

The aggregate keeps latencies in buckets, so percentiles from it are exact to half a bucket.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway_batch.figures.dialects import Dialect

PERCENTS = (50, 90, 95, 99)
"""The percentiles of the views and dashboards."""

TIMES = ("latency_ms", "time_to_first_byte_ms")
"""The columns with percentiles: milliseconds to the end of an answer, and to its first byte."""

GROWTH = 1.04
"""Width of a bucket: bucket b stands for GROWTH ** b milliseconds, to within 2%."""


def percentiles(column: str, percents: Sequence[int], dialect: Dialect) -> str:
    """SQL: an array of percentiles of a column. A row counts `invocations` times in Spark, once in DuckDB."""
    return dialect.percentiles(column, [percent / 100 for percent in percents], "invocations")


def percentile(column: str, percent: int) -> str:
    """Spark SQL: a single percentile, as in `percentiles`."""
    return f"percentile({column}, {percent / 100}, invocations)"


def bucket(column: str) -> str:
    """Spark SQL: the bucket of a time; NULL of NULL."""
    return f"CASE WHEN {column} <= 1 THEN 0 ELSE CAST(ln({column}) / ln({GROWTH}D) + 0.5D AS INT) END"


def middle(bucket: str) -> str:
    """Spark SQL: the milliseconds that a bucket stands for."""
    return f"power({GROWTH}D, {bucket})"
