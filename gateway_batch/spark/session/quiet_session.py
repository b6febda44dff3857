"""A session without Spark's own chatter on the terminal, for programs that own it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import SparkSession

from gateway_batch.errors import ConfigError
from gateway_batch.spark.session.session import local_session


@contextlib.contextmanager
def quiet_session(warehouse: Path, log: Path, settings: dict[str, str] | None = None) -> Iterator[SparkSession]:
    """A local session, stopped at the end. What the JVM, its workers and py4j say goes to the file `log`."""
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # it repeats each error with Java's stacks
    logging.getLogger().addFilter(_is_no_interrupt)
    log.parent.mkdir(parents=True, exist_ok=True)
    _log_to(logging.getLogger("py4j"), log)
    chosen = {"spark.ui.showConsoleProgress": "false", **(settings or {})}
    try:
        with _stderr_to(log):
            spark = local_session(warehouse=warehouse, settings=chosen)
    except ConfigError as error:
        raise ConfigError(f"{error} Spark's output is in {log}.") from error
    try:
        yield spark
    finally:
        spark.stop()


def _log_to(logger: logging.Logger, log: Path) -> None:
    """py4j logs each connection that an interrupt breaks, with stacks."""
    if logger.propagate:
        logger.addHandler(logging.FileHandler(log, delay=True))
        logger.propagate = False


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    """py4j logs a Ctrl-C with its stack, by the root logger, and then raises it."""
    return "KeyboardInterrupt while" not in str(record.msg)


@contextlib.contextmanager
def active_session(warehouse: Path) -> Iterator[SparkSession]:
    """The active session, as in a Databricks job, else a quiet local one for the time."""
    if (active := SparkSession.getActiveSession()) is not None:
        yield active
        return
    with quiet_session(warehouse, warehouse / "_gateway_batch" / "spark.log") as local:
        yield local


@contextlib.contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """The JVM inherits standard error when it starts, and keeps it."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
