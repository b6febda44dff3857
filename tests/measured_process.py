"""Begins to measure coverage in any Python process of the environment: `scripts/coverage.sh` has them all import it.

Spark's daemon forks its workers and kills them, so a worker writes down what it ran after each task.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import coverage

_ROOT = Path(__file__).parents[1]
_DAEMONS = ("pyspark.daemon", "gateway_batch.spark.worker.worker_daemon")


def begin() -> None:
    os.environ["COVERAGE_FILE"] = str(_ROOT / "build" / "coverage" / "data")  # wherever the process works
    os.environ["COVERAGE_PROCESS_START"] = str(_ROOT / "pyproject.toml")
    coverage.process_startup()
    os.register_at_fork(after_in_child=_in_forked)


def _in_forked() -> None:
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    if specification is None or specification.name not in _DAEMONS:
        return
    from pyspark import worker

    run: Any = worker.main

    def run_and_save(*arguments: Any) -> None:
        try:
            run(*arguments)
        finally:
            if measured := coverage.Coverage.current():
                measured.save()

    worker.main = run_and_save


begin()
