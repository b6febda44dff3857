"""The usage table against a gateway's own record: each request in one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from gateway_batch.spark.ledger.gateway_record import Ledger, read_ledger
from gateway_batch.spark.ledger.usage_import import IMPORTED, imported_key
from gateway_batch.spark.ledger.usage_table import create_usage_table
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage.missing_tokens import ESTIMATED

MISSING = "missing"
DUPLICATED = "duplicated"
DIFFERING = "differing"
EXTRA = "extra"
NEVER_SENT = "never_sent"
UNKNOWN_RESOLVED = "unknown_resolved"

CLASSES = (MISSING, DUPLICATED, DIFFERING, EXTRA, NEVER_SENT, UNKNOWN_RESOLVED)


def classes_reconcile(counts: Mapping[str, int]) -> bool:
    """Whether the two sides reconcile, by their requests per class: only unknown outcomes may stay open."""
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
class Reconciliation:
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
    def reconciles(self) -> bool:
        """Whether only unknown outcomes stay open."""
        return classes_reconcile(self.counts)


def count_classes(
    spark: SparkSession,
    table: str,
    ledger: Ledger,
    *,
    where: str | None = None,
    event_id_tag: str | None = None,
    examples: int = 3,
) -> Reconciliation:
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
    judged = _judged(spark, table, ledger, where, event_id_tag)
    counts = {row["class"]: row["count"] for row in judged.groupBy("class").count().collect()}
    matched = counts.pop(None, 0)
    return Reconciliation(matched, counts, _examples(judged, examples) if counts and examples else [])


def _examples(judged: DataFrame, most: int) -> list[dict[str, Any]]:
    place = F.row_number().over(Window.partitionBy("class").orderBy("event_id"))
    found = _unmatched(judged).withColumn("place", place).where(F.col("place") <= most).orderBy("class", "place")
    return [row.asDict(recursive=True) for row in found.drop("place").collect()]


def reconcile(
    spark: SparkSession, table: str, ledger: Ledger, where: str | None = None, event_id_tag: str | None = None
) -> DataFrame:
    """See `Usage.reconcile`, which this is behind."""
    return _unmatched(_judged(spark, table, ledger, where, event_id_tag))


def _judged(spark: SparkSession, table: str, ledger: Ledger, where: str | None, event_id_tag: str | None) -> DataFrame:
    """Both sides' requests, joined, with their class.

    A request that was imported from a gateway's record is not judged where this record lacks it.
    """
    create_usage_table(spark, table)
    theirs = read_ledger(spark, ledger, event_id_tag)
    compared = [name for name in _COMPARED if name in theirs.columns]
    if where is not None:
        theirs = theirs.where(where)
    imported = F.expr(f"client_metadata.outcome <=> '{IMPORTED}'").alias("imported")
    own = (F.col(f"client_metadata.{name}") for name in ("event_id", "token_source"))
    ours = spark.table(quoted(table)).select(*own, imported, *_COMPARED).withColumnRenamed("event_id", "key")
    keyed = _with_key(theirs, ours, compared, event_id_tag)
    joined = _once(ours, "ours", compared).join(_once(keyed, "theirs", compared), "key", "full_outer")
    joined = joined.where(F.col("theirs").isNotNull() | ~F.col("imported"))
    differences = F.array_compact(F.array(*(_difference(name) for name in compared), F.lit(None).cast("string")))
    return joined.withColumn("differences", differences).withColumn("class", _class())


def _unmatched(judged: DataFrame) -> DataFrame:
    return judged.where(F.col("class").isNotNull()).select(
        F.col("key").alias("event_id"),
        "class",
        F.when(F.col("class") == DIFFERING, F.col("differences")).alias("differences"),
        "ours",
        "theirs",
    )


def _class() -> Column:
    """The class of a joined pair; NULL is matched. One of ours without a status is of an outcome unknown to us."""
    unknown = F.col("ours.status_code").isNull() & ~F.col("imported")
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
    ours = side == "ours"
    names = dict.fromkeys([*compared, "status_code", "token_source"]) if ours else compared or ("key",)
    also = [F.max("imported").alias("imported")] if ours else []
    return frame.groupBy("key").agg(F.first(F.struct(*names)).alias(side), F.count("*").alias(f"{side}_rows"), *also)


def _with_key(theirs: DataFrame, ours: DataFrame, compared: Sequence[str], event_id_tag: str | None) -> DataFrame:
    """Their rows by our event id, from a column or the tag; those without one are found by the server's request id.

    Imported ones come first: other clients may name their requests too.
    """
    for name in ("client_request_id", "request_id"):
        if name not in theirs.columns:
            theirs = theirs.withColumn(name, F.lit(None).cast("string"))
    tagged = event_id_tag is not None and "request_tags" in theirs.columns
    tag = F.try_element_at("request_tags", F.lit(event_id_tag)) if tagged else F.lit(None).cast("string")
    of_theirs = imported_key() if "invocation_id" in theirs.columns else F.col("request_id")
    of_ours = F.col("key") if "invocation_id" in theirs.columns else F.col("request_id")
    imported = ours.where("imported").select(F.col("key").alias("imported_as"), of_ours.alias("imported_key"))
    imported = imported.dropDuplicates(["imported_key"])
    by_request = ours.where("status_code IS NOT NULL AND NOT imported")
    by_request = by_request.select("request_id", F.col("key").alias("found")).dropDuplicates(["request_id"])
    found = theirs.withColumn("imported_key", of_theirs).join(imported, "imported_key", "left")
    found = found.join(by_request, "request_id", "left")
    key = F.coalesce("imported_as", "client_request_id", tag, "found", F.concat(F.lit("request_id:"), "request_id"))
    types = {field.name: field.dataType for field in ours.schema}
    values = (F.col(name).cast(types[name]).alias(name) for name in compared)
    return found.select(key.alias("key"), *values)
