"""The view `ai_query_runs`, next to the usage table: what each query execution of ai_query did, cost and was spared."""

from __future__ import annotations

import logging
from weakref import WeakKeyDictionary

from pyspark.sql import SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.spark.analytics.sql_files import read_sql
from gateway_batch.spark.ledger.task_table import TaskTable, sibling_table
from gateway_batch.spark.ledger.usage_table import add_missing_columns, create_usage_table
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import literal, quoted

NAME = "ai_query_runs"
COMMENT = "What each query execution of ai_query did, cost and was spared, by gateway_batch."

_REFUSALS: tuple[type[Exception], ...] = (ConfigError, *WRITE_ERRORS)

_MADE: WeakKeyDictionary[SparkSession, set[str]] = WeakKeyDictionary()
"""Views that this process made, by session: Spark plans all that a view reads each time it is made."""

_log = logging.getLogger(__name__)


class RunView:
    """The view of a session: made once, where it can be.

    Args:
        spark: the session.
        usage_table: the usage table's name.
    """

    def __init__(self, spark: SparkSession, usage_table: str) -> None:
        self._spark = spark
        self._usage_table = usage_table
        self._is_done = False

    def make(self) -> None:
        """Makes view and tables; a session that may not have them is warned once, and works without."""
        if self._is_done:
            return
        self._is_done = True
        try:
            create_run_view(self._spark, self._usage_table)
        except _REFUSALS as error:
            _log.warning("no view %s: %s", sibling_table(self._usage_table, NAME), first_line(error))


def create_run_view(spark: SparkSession, usage_table: str) -> str:
    """Makes the view, if this process has not made it in this session, with the tables it reads; returns its name.

    A session without a metastore forgets views as it ends, so each makes it.

    Args:
        spark: a session that can write Delta.
        usage_table: the usage table's name; the view is in its schema.

    Raises:
        ConfigError: there is a table or view of that name which is not ours.
        PySparkException: the session may not make it (`session_kind.WRITE_ERRORS`).
    """
    view = sibling_table(usage_table, NAME)
    is_there = spark.catalog.tableExists(quoted(view))
    if is_there and spark.catalog.getTable(quoted(view)).description != COMMENT:
        raise ConfigError(f"{view}: there is a table or view of that name already, and it is not gateway_batch's")
    tasks = TaskTable(spark, usage_table)
    create_usage_table(spark, usage_table)
    add_missing_columns(spark, usage_table)
    tasks.make()
    made = _MADE.setdefault(spark, set())
    if not (is_there and view in made):
        spark.sql(
            read_sql("views", NAME).format(
                view=quoted(view), tasks=quoted(tasks.name), usage_table=quoted(usage_table), comment=literal(COMMENT)
            )
        )
        made.add(view)
    return view
