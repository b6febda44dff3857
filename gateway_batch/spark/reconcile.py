"""Our books against a gateway's own: each request in one class."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import orjson
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import ConfigError
from gateway_batch.spark.usage_table import create_usage_table

Ledger = str | os.PathLike[str] | DataFrame

MISSING = "missing"
DUPLICATED = "duplicated"
DIFFERING = "differing"
EXTRA = "extra"
NEVER_SENT = "never_sent"
UNKNOWN_RESOLVED = "unknown_resolved"

CLASSES = (MISSING, DUPLICATED, DIFFERING, EXTRA, NEVER_SENT, UNKNOWN_RESOLVED)


def books_agree(counts: Mapping[str, int]) -> bool:
    """Whether requests per class are those of books that agree: only unknown outcomes may stand open."""
    return not any(counts.get(name) for name in (MISSING, DUPLICATED, DIFFERING, EXTRA))


# What both sides must agree on.
_COMPARED = (
    "request_id",
    "endpoint_name",
    "api_type",
    "status_code",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "request_tags",
)
_LEDGER_TYPES = pa.schema(
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


def reconcile(spark: SparkSession, table: str, ledger: Ledger) -> DataFrame:
    """See `Usage.reconcile`, which this is behind."""
    create_usage_table(spark, table)
    ours = spark.table(table).select(F.col("client_metadata.event_id").alias("key"), *_COMPARED)
    theirs = _with_key(_read(spark, ledger), ours)
    joined = _once(ours, "ours").join(_once(theirs, "theirs"), "key", "full_outer")
    differences = F.array_compact(F.array(*(_difference(name) for name in _COMPARED)))
    judged = joined.withColumn("differences", differences).withColumn("class", _class())
    return judged.where(F.col("class").isNotNull()).select(
        F.col("key").alias("event_id"),
        "class",
        F.when(F.col("class") == DIFFERING, F.col("differences")).alias("differences"),
        "ours",
        "theirs",
    )


def _class() -> Column:
    """The class of a joined pair; NULL is matched. Ours has no status where the outcome is unknown to us."""
    unknown = F.col("ours.status_code").isNull()
    return (
        F.when(F.col("ours_rows") > 1, DUPLICATED)
        .when(F.col("ours").isNull() | (F.col("theirs_rows") > 1), MISSING)
        .when(F.col("theirs").isNull(), F.when(unknown, NEVER_SENT).otherwise(EXTRA))
        .when(unknown, UNKNOWN_RESOLVED)
        .when(F.size("differences") > 0, DIFFERING)
    )


def _difference(name: str) -> Column:
    ours, theirs = F.col(f"ours.{name}"), F.col(f"theirs.{name}")
    if name == "request_tags":  # maps can't be compared
        ours, theirs = (F.array_sort(F.map_entries(side)) for side in (ours, theirs))
    return F.when(~ours.eqNullSafe(theirs), F.lit(name))


def _once(frame: DataFrame, side: str) -> DataFrame:
    """A row per key: one of its rows as a struct, and how many there were."""
    row = F.struct(*_COMPARED)
    return frame.groupBy("key").agg(F.first(row).alias(side), F.count("*").alias(f"{side}_rows"))


def _with_key(theirs: DataFrame, ours: DataFrame) -> DataFrame:
    """Their rows by our event id; those without one are found by the server's request id."""
    if "client_request_id" not in theirs.columns:
        theirs = theirs.withColumn("client_request_id", F.lit(None).cast("string"))
    by_request = ours.where("status_code IS NOT NULL").select("request_id", F.col("key").alias("found"))
    by_request = by_request.dropDuplicates(["request_id"])
    key = F.coalesce("client_request_id", "found", F.concat(F.lit("request_id:"), "request_id"))
    return theirs.join(by_request, "request_id", "left").select(key.alias("key"), *_COMPARED)


def _read(spark: SparkSession, ledger: Ledger) -> DataFrame:
    if isinstance(ledger, DataFrame):
        return ledger
    path = Path(ledger)
    if path.is_file():
        rows = list(_sqlite_rows(path))
        return spark.createDataFrame(pa.Table.from_pylist(rows, schema=_LEDGER_TYPES))
    if isinstance(ledger, str) and spark.catalog.tableExists(ledger):
        return spark.table(ledger)
    raise ConfigError(f"ledger: {ledger} is neither a file nor a table")


def _sqlite_rows(path: Path) -> Iterator[dict[str, object]]:
    names = _LEDGER_TYPES.names
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            for values in database.execute(f"SELECT {', '.join(names)} FROM usage"):
                row = dict(zip(names, values, strict=True))
                row["request_tags"] = list(orjson.loads(row["request_tags"] or "{}").items())
                yield row
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"ledger: {path} is not a development gateway's ledger ({error})") from error
