"""Registration of `ai_query` in a session, and the handle it returns."""

from __future__ import annotations

import itertools
import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlparse

from py4j.java_gateway import JavaObject
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.config import GatewayConfig, spool_folder
from gateway_batch.errors import ConfigError, GatewayBatchError
from gateway_batch.runtime import RuntimeSettings
from gateway_batch.spark import read_files
from gateway_batch.spark.expressions import Expressions
from gateway_batch.spark.function import CallBuilder, install, install_table_function, uninstall
from gateway_batch.spark.jvm import gateway_of
from gateway_batch.spark.limit_rule import install_limit_rule
from gateway_batch.spark.plan import CallerSettings
from gateway_batch.spark.planning import Planner
from gateway_batch.spark.reconcile import Ledger, reconcile
from gateway_batch.spark.scope import kept_queries, remove_query, remove_stale
from gateway_batch.spark.tasks import TASKS
from gateway_batch.spark.usage_drain import UsageDrain
from gateway_batch.spark.worker import FUNCTION

_log = logging.getLogger(__name__)
_registrations = itertools.count(1)
_open: dict[str, Gateway] = {}
_installed: set[str] = set()


class Usage:
    """The usage records of a registration.

    Attributes:
        table: name of the Delta table they land in.
        spool_dir: folder they pass through.
        committed: rows that this handle's flushes have committed so far, in the background too.
    """

    def __init__(self, spark: SparkSession, table: str, spool_dir: Path) -> None:
        self.table = table
        self.spool_dir = spool_dir
        self.committed = 0
        self._spark = spark
        self._drain = UsageDrain(spark, spool_dir, table)

    def flush(self) -> int:
        """Commits to the table what finished queries and dead workers left in the spool.

        Returns:
            Rows newly committed.

        Raises:
            LedgerError: the table can't be written. The records stay in the spool.
        """
        rows = self._drain.flush()
        self.committed += rows
        return rows

    def reconcile(self, ledger: Ledger) -> DataFrame:
        """Compares the table with a gateway's own record.

        Args:
            ledger: path of the development gateway's SQLite file, name of a table, or a DataFrame, with the columns
                of `system.ai_gateway.usage`; a column `client_request_id` has our event ids, if there is one.

        Returns:
            A row per request that is not simply matched: `event_id`, `class` (`missing`, `duplicated`, `differing`,
            `extra`, `never_sent`, `unknown_resolved`), `differences` (names of the columns), and both sides' values.
        """
        return reconcile(self._spark, self.table, ledger)


class Gateway:
    """A registered function and its ledger; close it, or use it as a context manager.

    Attributes:
        usage: flush and reconcile.
        config: the settings in force.
        name: the function's name.
    """

    def __init__(self, spark: SparkSession, config: GatewayConfig, name: str) -> None:
        self.config = config
        self.name = name
        self._spark = spark
        self.usage = Usage(spark, config.usage_table, spool_dir_of(spark, config))
        self._credentials = spark.sparkContext.broadcast(config.credentials().values())
        self._stopping = threading.Event()
        self._flusher: threading.Thread | None = None

    def close(self) -> None:
        """Ends the background flush, takes the function out of the session, and flushes once more.

        After `spark.stop()` there is nothing left to close: the next session's flush finds the records.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._flusher is not None:
            self._flusher.join()
        for name in [name for name, gateway in _open.items() if gateway is self]:
            del _open[name]
            if self._session_lives():
                uninstall(self._spark, name)
        if self._session_lives():
            self.usage.flush()
            self._forget_ended_queries(unknown_too=True)

    def __enter__(self) -> Self:
        """The gateway itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _install(self) -> None:
        remove_stale()
        builder = self._builder()
        self._add(self.name, builder.ai_query)
        for task in TASKS:
            if not _is_anothers(self._spark, task.name):
                self._add(task.name, builder.task(task))
        install_table_function(self._spark, read_files.NAME, read_files.ReadFiles(self._spark).build)
        install_limit_rule(self._spark, FUNCTION)
        if self.config.flush_interval > 0:
            self._flusher = threading.Thread(target=self._flush_regularly, name="gateway_batch_flush", daemon=True)
            self._flusher.start()

    def _add(self, name: str, build: Callable[[JavaObject], JavaObject]) -> None:
        install(self._spark, name, build)
        _installed.add(name)
        _open[name] = self

    def _forget_ended_queries(self, *, unknown_too: bool = False) -> None:
        """Removes the answers that queries kept while they ran. Spark hears of a query's start with a delay."""
        application = self._spark.sparkContext.applicationId
        store = self._spark._jsparkSession.sharedState().statusStore()
        for execution_id in list(kept_queries(application)):
            execution = store.execution(int(execution_id))
            ended = execution.get().completionTime().isDefined() if execution.isDefined() else unknown_too
            if ended:
                remove_query(application, execution_id)

    def _session_lives(self) -> bool:
        return self._spark.sparkContext._jsc is not None

    def _builder(self) -> CallBuilder:
        config, context = self.config, self._spark.sparkContext
        runtime = RuntimeSettings.of(
            config,
            scope=context.applicationId,
            registration=next(_registrations),
            spool_dir=self.usage.spool_dir,
        )
        caller = CallerSettings(
            application_id=context.applicationId,
            requester=config.requester or context.sparkUser(),
            account_id=config.account_id,
            workspace_id=config.workspace_id,
        )
        expressions = Expressions(gateway_of(self._spark))
        planner = Planner(
            config,
            runtime,
            caller,
            parse_type=expressions.parse_type,
            time_zone=lambda: expressions.time_zone(self._spark.conf.get("spark.sql.session.timeZone") or "UTC"),
        )
        return CallBuilder(self._spark, planner, self._credentials)

    def _flush_regularly(self) -> None:
        while not self._stopping.wait(self.config.flush_interval) and self._session_lives():
            try:
                self._forget_ended_queries()
                self.usage.flush()
            except GatewayBatchError as error:
                _log.warning("usage stays in the spool for now: %s", error)
            except Exception as error:
                _log.warning("usage stays in the spool for now: %s", type(error).__name__)


def register_ai_query(
    spark: SparkSession, config: GatewayConfig | None = None, name: str = "ai_query", *, replace: bool = False
) -> Gateway:
    """Makes `ai_query` a SQL function of a classic session, of its `newSession()`s and of permanent views.

    The task functions (`ai_summarize`, ...) come with it, but those that the session has already, as on Databricks.
    Registering a name again replaces the registration before it. Records that earlier sessions left in the spool are
    flushed with the next ones.

    Args:
        spark: a classic session with Delta.
        config: settings; None reads the environment.
        name: the function's name.
        replace: whether a function of that name which is not ours may be replaced.

    Raises:
        ConfigError: a setting is wrong, or the session can't have the function.
        LedgerError: the spool folder can't be written.
    """
    if not re.fullmatch(r"[A-Za-z_]\w{0,127}", name):
        raise ConfigError(f"name: {name!r} is not the name of a SQL function")
    if not hasattr(spark, "_jsparkSession"):
        raise ConfigError("Spark Connect sessions are not supported yet: use a classic session")
    check_version(spark.version)
    if not replace and _is_anothers(spark, name):
        raise ConfigError(
            f"name: the session has a function {name} already, as on Databricks: register under another name, or pass "
            "replace=True to put ours in its place"
        )
    gateway = Gateway(spark, config or GatewayConfig.from_env(), name)
    before = _open.pop(name, None)
    if before is not None:
        before.close()
    gateway._install()
    return gateway


def check_version(version: str) -> None:
    """Refuses a Spark that lacks what the function is made of.

    Raises:
        ConfigError: it is older than 4.1.
    """
    if tuple(int(part) for part in version.split(".")[:2]) < (4, 1):
        raise ConfigError(
            f"Spark {version} has no iterator Arrow functions, which ai_query is made of: use 4.1 or newer"
        )


def _is_anothers(spark: SparkSession, name: str) -> bool:
    return name not in _installed and spark.catalog.functionExists(name)


def spool_dir_of(spark: SparkSession, config: GatewayConfig) -> Path:
    """The spool folder of the settings, or the one in the session's warehouse.

    Raises:
        ConfigError: none is set, and the warehouse is not on a local disk.
    """
    warehouse = urlparse(spark.conf.get("spark.sql.warehouse.dir") or "")
    if config.spool_dir is None and warehouse.scheme not in ("", "file"):
        raise ConfigError(
            "spool_dir: the warehouse is not on a local disk, so set a folder for usage records on their way to the "
            "table (GATEWAY_BATCH_SPOOL_DIR)"
        )
    return spool_folder(config, unquote(warehouse.path))
