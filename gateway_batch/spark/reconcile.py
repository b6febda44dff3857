"""Our books against a gateway's own: each request in one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from gateway_batch.spark.gateway_ledger import Ledger, read_ledger
from gateway_batch.spark.usage_table import create_usage_table
from gateway_batch.usage.estimated import ESTIMATED

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


_TOKENS = frozenset({"input_tokens", "output_tokens", "total_tokens"})

# What both sides must agree on, where both have it.
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


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides' requests, counted.

    Attributes:
        matched: requests on which both sides agree.
        counts: the others, by class.
        examples: a few of each class, as `reconcile` has them.
    """

    matched: int
    counts: Mapping[str, int]
    examples: Sequence[Mapping[str, Any]]

    @property
    def agree(self) -> bool:
        """Whether only unknown outcomes stand open."""
        return books_agree(self.counts)


def books(
    spark: SparkSession,
    table: str,
    ledger: Ledger,
    *,
    where: str | None = None,
    event_id_tag: str | None = None,
    examples: int = 3,
) -> Books:
    """Reconciles, and counts.

    Args:
        spark: a session that knows the table.
        table: the usage table.
        ledger: the gateway's own record.
        where: a condition on the ledger's rows, in SQL, such as the time or the requester that is ours.
        event_id_tag: the request tag that has our event ids, where the requests were sent with it.
        examples: rows of each class, at most.

    Raises:
        ConfigError: there is no such ledger, or it lacks what requests are found by.
    """
    of_class = Window.partitionBy("class")
    rows = (
        reconcile(spark, table, ledger, where, event_id_tag)
        .withColumn("place", F.row_number().over(of_class.orderBy("event_id")))
        .withColumn("count", F.count("*").over(of_class))
        .withColumn("known", F.count("ours").over(of_class))
        .where(F.col("place") <= max(1, examples))
        .orderBy("class", "place")
        .collect()
    )
    counts = {row["class"]: row["count"] for row in rows}
    keys = spark.table(table).select("client_metadata.event_id").distinct().count()
    names = ("event_id", "class", "differences", "ours", "theirs")
    shown = [{name: row.asDict(recursive=True)[name] for name in names} for row in rows if row["place"] <= examples]
    return Books(keys - sum({row["class"]: row["known"] for row in rows}.values()), counts, shown)


def reconcile(
    spark: SparkSession, table: str, ledger: Ledger, where: str | None = None, event_id_tag: str | None = None
) -> DataFrame:
    """See `Usage.reconcile`, which this is behind."""
    create_usage_table(spark, table)
    theirs = read_ledger(spark, ledger, event_id_tag)
    compared = [name for name in _COMPARED if name in theirs.columns]
    if where is not None:
        theirs = theirs.where(where)
    own = (F.col(f"client_metadata.{name}") for name in ("event_id", "token_source"))
    ours = spark.table(table).select(*own, *_COMPARED).withColumnRenamed("event_id", "key")
    keyed = _with_key(theirs, ours, compared, event_id_tag)
    joined = _once(ours, "ours", compared).join(_once(keyed, "theirs", compared), "key", "full_outer")
    differences = F.array_compact(F.array(*(_difference(name) for name in compared), F.lit(None).cast("string")))
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
    differ = ~ours.eqNullSafe(theirs)
    if name in _TOKENS:  # an estimate says nothing against what the gateway knows
        differ &= ~F.col("ours.token_source").eqNullSafe(ESTIMATED)
    return F.when(differ, F.lit(name))


def _once(frame: DataFrame, side: str, compared: Sequence[str]) -> DataFrame:
    """A row per key: one of its rows as a struct, and how many there were."""
    names = dict.fromkeys([*compared, "status_code", "token_source"]) if side == "ours" else compared or ("key",)
    return frame.groupBy("key").agg(F.first(F.struct(*names)).alias(side), F.count("*").alias(f"{side}_rows"))


def _with_key(theirs: DataFrame, ours: DataFrame, compared: Sequence[str], event_id_tag: str | None) -> DataFrame:
    """Their rows by our event id, from a column or the tag; those without one are found by the server's request id."""
    for name in ("client_request_id", "request_id"):
        if name not in theirs.columns:
            theirs = theirs.withColumn(name, F.lit(None).cast("string"))
    tagged = event_id_tag is not None and "request_tags" in theirs.columns
    tag = F.try_element_at("request_tags", F.lit(event_id_tag)) if tagged else F.lit(None).cast("string")
    by_request = ours.where("status_code IS NOT NULL").select("request_id", F.col("key").alias("found"))
    by_request = by_request.dropDuplicates(["request_id"])
    key = F.coalesce("client_request_id", tag, "found", F.concat(F.lit("request_id:"), "request_id"))
    types = {field.name: field.dataType for field in ours.schema}
    values = (F.col(name).cast(types[name]).alias(name) for name in compared)
    return theirs.join(by_request, "request_id", "left").select(key.alias("key"), *values)
