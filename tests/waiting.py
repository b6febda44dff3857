"""Waits for what comes about sooner or later. The bound is a net against hanging: no test is about its length."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyspark.sql import SparkSession

WITHIN_S = 60.0


def wait_until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """Returns once a condition holds; fails if it never does."""
    until = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < until, f"{what} did not come about"
        time.sleep(0.01)


def wait_until_idle(spark: SparkSession) -> None:
    """Waits for the tasks that a query left behind: a LIMIT ends it while some are still at work."""
    store = spark.sparkContext._jsc.sc().statusStore()

    def active() -> int:
        executors = store.executorList(True)
        return sum(executors.apply(index).activeTasks() for index in range(executors.size()))

    wait_until(lambda: active() == 0)
