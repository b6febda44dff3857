"""Keeps the usage table and the tables next to it in order: few files, no rows or files without need."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession

from gateway_batch.spark.analytics.usage_aggregate import CELLS, DISTRIBUTIONS, SESSIONS
from gateway_batch.spark.ledger.task_table import TaskTable, sibling_table
from gateway_batch.spark.ledger.usage_table import create_usage_table
from gateway_batch.spark.session.sql_text import quoted


@dataclass(frozen=True, slots=True)
class Maintained:
    """What was done to the usage table.

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

    Versions of the last seven days, Delta's own default, stay readable. Records may be committed meanwhile. The same is
    done to the summaries of tasks next to it. Of an aggregate no rows are deleted: a refresh leaves out days
    that the table has no longer.

    Args:
        spark: a session that can write Delta.
        table: the usage table; made if missing.
        keep_days: rows whose `event_time` is older are deleted; None keeps all.
    """
    create_usage_table(spark, table)
    if spark.catalog.tableExists(quoted(tasks := TaskTable(spark, table).name)):
        _maintain(spark, tasks, "started_at", keep_days)
    for aggregate in (sibling_table(table, name) for name in (CELLS, DISTRIBUTIONS, SESSIONS)):
        if spark.catalog.tableExists(quoted(aggregate)):
            _maintain(spark, aggregate, "day", None)
    return _maintain(spark, table, "event_time", keep_days)


def _maintain(spark: SparkSession, table: str, time: str, keep_days: int | None) -> Maintained:
    name, deleted = quoted(table), 0
    if keep_days is not None:
        old = f"{time} < current_timestamp() - INTERVAL {int(keep_days)} DAYS"
        deleted = int(spark.sql(f"DELETE FROM {name} WHERE {old}").collect()[0]["num_affected_rows"])
    before = _files(spark, name)
    spark.sql(f"OPTIMIZE {name}").collect()
    spark.sql(f"VACUUM {name}").collect()
    return Maintained(deleted, before, _files(spark, name))


def _files(spark: SparkSession, name: str) -> int:
    return int(spark.sql(f"DESCRIBE DETAIL {name}").collect()[0]["numFiles"])
