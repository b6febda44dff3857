"""The table `ai_query_tasks`, next to the usage table: what the tasks of queries sent, were spared and failed."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from gateway_batch.pricing.list_prices import list_price
from gateway_batch.spark.delta_tables.lock import table_lock
from gateway_batch.spark.delta_tables.spark_writer import OvertakenError, SparkDeltaWriter, Table
from gateway_batch.spark.ledger.usage_table import create_table
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS, is_classic
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage import comments
from gateway_batch.usage.arrow import TASK_SCHEMA, task_rows
from gateway_batch.usage.manifests import CommitId
from gateway_batch.usage.segment_names import one_spelling
from gateway_batch.usage.task_summary import TaskSummary, TokenPrice, task_lines

NAME = "ai_query_tasks"

_log = logging.getLogger(__name__)


def sibling_table(usage_table: str, name: str) -> str:
    """The name of a table or view in the usage table's schema."""
    return ".".join((*usage_table.split(".")[:-1], name))


class TaskTable:
    """The tasks' table of a usage table.

    Args:
        spark: a session that can write Delta.
        usage_table: the usage table's name; the other is made in its schema when it is first needed.
    """

    def __init__(self, spark: SparkSession, usage_table: str) -> None:
        self.name = sibling_table(usage_table, NAME)
        self._usage_table = usage_table
        self._spark = spark
        self._refused = ""

    def make(self) -> None:
        """Makes the table if it is missing."""
        create_table(self._spark, self.name, TaskSummary, comments.TASKS_TABLE, comments.TASKS_COLUMNS)

    def append(self, segments: Iterable[Path], commit_id: CommitId) -> int:
        """Appends the summaries in the segments that a commit to the usage table took, once however often it is called.

        Drains may do it at once, and one may have deleted the segments already: it had appended them before. In a
        classic session it runs no Spark job, as a usage table's append. List prices are looked up here, not in the
        tasks: a worker need not load the price table.

        Args:
            segments: that the commit took.
            commit_id: of that commit. Commits are asked for in their order.

        Returns:
            Rows added, 0 if they were there.

        Raises:
            PySparkException, Py4JJavaError, OSError: it can't be written (`session_kind.WRITE_ERRORS`).
        """
        lines = [line for segment in segments for line in _lines(segment)]
        if not lines or not self._is_there():
            return 0
        own = replace(commit_id, drain=f"{commit_id.drain}-{one_spelling(self._usage_table)}")
        as_in_0_1 = f"{commit_id.drain}-{self._usage_table.lower()}"
        table = self._open()
        with table_lock(table.local_folder):
            last = table.last_commit(own.drain)
            earlier = last if as_in_0_1 == own.drain else table.last_commit(as_in_0_1)
            if any(each is not None and each.counter >= own.counter for each in (last, earlier)):
                return 0
            try:
                return table.append([_with_prices(task_rows(lines))], own, last)
            except OvertakenError:
                return 0  # by another drain with the same commit: there is no later one before this is done

    def _is_there(self) -> bool:
        """Makes the table; where the session may not, or it is someone else's, usage is recorded without summaries."""
        if not self._refused:
            try:
                self.make()
                if "summary_id" not in self._spark.table(quoted(self.name)).columns:
                    self._refused = "there is another table of that name"
            except WRITE_ERRORS as error:
                if "PERMISSION" not in str(error):
                    raise
                self._refused = first_line(error)
            if self._refused:
                _log.warning("no table %s, so that tasks' summaries are dropped: %s", self.name, self._refused)
        return not self._refused

    def _open(self) -> Table:
        if not is_classic(self._spark):
            return SparkDeltaWriter(self._spark, self.name)
        from gateway_batch.spark.ledger.driver_delta_writer import DriverDeltaWriter  # it needs py4j

        return DriverDeltaWriter(self._spark, self.name, TaskSummary, "started_at")


def _lines(segment: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError):
        yield from task_lines(segment)


def _with_prices(rows: pa.Table) -> pa.Table:
    """Summaries with the list price of their model where the configuration had none."""
    models = rows["model"].to_pylist()
    prices = [
        price if price is not None or model is None else _list_price(model)
        for price, model in zip(rows["price"].to_pylist(), models, strict=True)
    ]
    place = rows.schema.get_field_index("price")
    return rows.set_column(place, TASK_SCHEMA.field("price"), pa.array(prices, TASK_SCHEMA.field("price").type))


def _list_price(model: str) -> dict[str, object] | None:
    found = TokenPrice.of(list_price(model))
    return None if found is None else vars(found)
