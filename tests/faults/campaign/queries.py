"""The query that runs while things go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame, SparkSession

MODEL = "databricks-gpt-5-4"


def query(spark: SparkSession, rows: int, partitions: int) -> DataFrame:
    """A request a row, each of them another."""
    return spark.range(0, rows, 1, partitions).selectExpr("id", f"ai_query('{MODEL}', 'Lake ' || id) AS answer")


class RunningQuery(threading.Thread):
    """One in a thread.

    Attributes:
        failure: the last lines of its error, or None.
        is_complete: whether each row has its answer, once.
    """

    def __init__(self, frame: DataFrame, rows: int, then: Callable[[], None]) -> None:
        super().__init__(name="query", daemon=True)
        self.failure: str | None = None
        self.is_complete = False
        self._frame = frame
        self._rows = rows
        self._then = then
        self.start()

    def run(self) -> None:
        """Collects, and does at once what is to follow an action."""
        try:
            found: list[Any] = self._frame.collect()
        except Exception as error:
            self.failure = _last_line(str(error))
        else:
            self._then()
            self.is_complete = sorted(row.id for row in found) == list(range(self._rows)) and all(
                row.answer for row in found
            )


def _last_line(text: str) -> str:
    """The Python error in Spark's: the last line before the JVM's stack begins."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    named = [line for line in lines if "Error: " in line]
    return (named or lines or [""])[0][:300]
