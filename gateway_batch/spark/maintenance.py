"""Keeping the usage table in order: few files, no more rows than wanted, no file that nothing needs."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession

from gateway_batch.spark.usage_table import create_usage_table, quoted


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done.

    Attributes:
        deleted: rows that were too old.
        files_before: of the table.
        files_after: likewise.
    """

    deleted: int
    files_before: int
    files_after: int


def maintain(spark: SparkSession, table: str, keep_days: int | None = None) -> Maintained:
    """Deletes old rows, joins small files (OPTIMIZE), and removes files that no version needs (VACUUM).

    Versions of the last seven days, Delta's own default, stay readable. Records may be committed meanwhile.

    Args:
        spark: a session that can write Delta.
        table: the usage table; made if missing.
        keep_days: rows whose `event_time` is older are deleted; None keeps all.
    """
    create_usage_table(spark, table)
    name = quoted(table)
    deleted = 0
    if keep_days is not None:
        old = f"event_time < current_timestamp() - INTERVAL {int(keep_days)} DAYS"
        deleted = int(spark.sql(f"DELETE FROM {name} WHERE {old}").collect()[0]["num_affected_rows"])
    before = _files(spark, name)
    spark.sql(f"OPTIMIZE {name}").collect()
    spark.sql(f"VACUUM {name}").collect()
    return Maintained(deleted, before, _files(spark, name))


def _files(spark: SparkSession, name: str) -> int:
    return int(spark.sql(f"DESCRIBE DETAIL {name}").collect()[0]["numFiles"])
