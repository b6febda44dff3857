"""The table `ai_query_tasks`, beside the usage table: what the tasks of queries sent, were spared and failed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession

from gateway_batch.pricing import list_price
from gateway_batch.spark.session_kind import is_classic
from gateway_batch.spark.table_append import SparkTable, Table
from gateway_batch.spark.table_lock import table_lock
from gateway_batch.spark.usage_table import create_table
from gateway_batch.usage import comments
from gateway_batch.usage.arrow import TASK_SCHEMA, task_rows
from gateway_batch.usage.tasks import TaskSummary, TokenPrice

NAME = "ai_query_tasks"


def beside(usage_table: str, name: str) -> str:
    """The name of a table or view in the usage table's schema."""
    return ".".join((*usage_table.split(".")[:-1], name))


class TaskTable:
    """The tasks' table of a usage table.

    Args:
        spark: a session that can write Delta.
        usage_table: the usage table's name; the other is made in its schema when it is first needed.
    """

    def __init__(self, spark: SparkSession, usage_table: str) -> None:
        self.name = beside(usage_table, NAME)
        self._spark = spark
        self._is_made = False

    def make(self) -> None:
        """Makes the table if it is missing."""
        if not self._is_made:
            create_table(self._spark, self.name, TaskSummary, comments.TASKS_TABLE, comments.TASKS_COLUMNS)
            self._is_made = True

    def append(self, lines: Iterable[bytes], app_id: str, version: int, scratch: Path) -> int:
        """Appends summaries under a transaction id and version; once, however often it is called.

        In a classic session it runs no Spark job, as a usage table's append. List prices are looked up here, not in
        the tasks: a worker need not load the price table.

        Args:
            lines: of kind `T`, as `usage.tasks.task_lines` reads them from drained segments.
            app_id: the spool's transaction id.
            version: of the drain's manifest; versions under one id only grow.
            scratch: a folder on a local disk.

        Returns:
            Rows added, 0 if they were there.

        Raises:
            PySparkException, Py4JJavaError, OSError: it can't be written (`session_kind.WRITE_ERRORS`).
        """
        rows = _with_prices(task_rows(lines))
        if rows.num_rows == 0:
            return 0
        self.make()
        table = self._open()
        with table_lock(table.local_folder):
            if table.committed_version(app_id) >= version:
                return 0
            table.append(rows, app_id, version, scratch)
        return int(rows.num_rows)

    def _open(self) -> Table:
        if not is_classic(self._spark):
            return SparkTable(self._spark, self.name)
        from gateway_batch.spark.delta_append import UsageTable  # it needs py4j

        return UsageTable(self._spark, self.name, TaskSummary, "started_at")


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
    price = list_price(model)
    return None if price is None else vars(TokenPrice.of(price))
