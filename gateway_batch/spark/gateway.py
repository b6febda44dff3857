"""Registration of `ai_query` in a session, and the handle it returns."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlparse

from pyspark.sql import Column, DataFrame, SparkSession

from gateway_batch.config import GatewayConfig, spool_folder
from gateway_batch.errors import ConfigError, GatewayBatchError
from gateway_batch.response_cache import Counts, Savings, total
from gateway_batch.spark.analytics.maintenance import Maintained, maintain
from gateway_batch.spark.analytics.run_view import RunView
from gateway_batch.spark.calls.ai_functions import TASKS, TaskFunction
from gateway_batch.spark.calls.scope import is_stage, remove_stale, remove_stopped
from gateway_batch.spark.ledger.drain import UsageDrain
from gateway_batch.spark.ledger.gateway_record import Ledger
from gateway_batch.spark.ledger.reconcile import reconcile
from gateway_batch.spark.ledger.usage_import import import_ledger
from gateway_batch.spark.session.session_kind import is_classic
from gateway_batch.spark.sql_functions.session_backend import SessionBackend
from gateway_batch.spark.worker.partition import FUNCTION
from gateway_batch.usage.shipping import local_folder_for
from gateway_batch.usage.spool_backlog import SpoolBacklog

_log = logging.getLogger(__name__)
_open: list[Gateway] = []
"""The registrations that are open, the newest last, which holds the functions that others of its scope have too."""


class Usage:
    """The usage records of a registration.

    Attributes:
        table: name of the Delta table they land in.
        event_id_tag: the request tag that carries event ids, if one does.
        spool_dir: folder they pass through.
        committed: rows that this handle's flushes have committed so far, in the background too.
    """

    def __init__(
        self,
        spark: SparkSession,
        table: str,
        spool_dir: Path,
        *,
        local_dir: Path | None = None,
        event_id_tag: str | None = None,
    ) -> None:
        self.table = table
        self.event_id_tag = event_id_tag
        self.spool_dir = spool_dir
        self.committed = 0
        self._spark = spark
        self._drain = UsageDrain(spark, spool_dir, table, local_dir)
        self._runs = RunView(spark, table)

    def flush(self) -> int:
        """Commits to the table what finished queries and dead workers left in the spool for it.

        The first one makes the view `ai_query_runs` next to the table, a row for each query execution, where the
        session
        may: what its rows cost and were spared.

        Returns:
            Rows newly committed.

        Raises:
            LedgerError: the table can't be written. The records stay in the spool.
        """
        rows = self._drain.flush()
        self.committed += rows
        if rows:
            _log.info(
                "%d usage records committed to %s", rows, self.table,
                extra={"gateway_batch": {"committed": rows, "usage_table": self.table}},
            )  # fmt: skip
        self._runs.make()
        return rows

    def waiting(self) -> SpoolBacklog:
        """What waits in the spool folder and in this host's own, of whichever usage table: nothing is written.

        A flush takes what is for its own table. Records of another one wait for a flush into that, as
        `gateway-batch usage flush --usage-table NAME` makes.

        Returns:
            For each table how many records wait, and since when; and what is in the folder that is not of the spool.

        Raises:
            LedgerError: the spool folder can't be read.
        """
        return self._drain.backlog()

    def reconcile(self, ledger: Ledger, event_id_tag: str | None = None) -> DataFrame:
        """Compares the table with a gateway's own record.

        Args:
            ledger: path of the development gateway's SQLite file, path of an exported CSV, JSON-lines or Parquet file,
                name of a table, or a DataFrame, with columns of `system.ai_gateway.usage`; what it lacks is not
                compared. A column `client_request_id` has our event ids, if there is one; without, requests are found
                by the tag, then by the server's request id. Estimated tokens are not compared.
            event_id_tag: the request tag that has our event ids; None: the setting's.

        Returns:
            A row per request that is not simply matched: `event_id`, `class` (`missing`, `duplicated`, `differing`,
            `extra`, `never_sent`, `unknown_resolved`), `differences` (names of the columns), and both sides' values.
        """
        return reconcile(self._spark, self.table, ledger, event_id_tag=event_id_tag or self.event_id_tag)

    def import_ledger(self, ledger: Ledger, where: str | None = None) -> int:
        """Adds the requests of other clients (coding agents, apps) from a gateway's own record, each once.

        What is in the spool is flushed first. A row is one of other clients if its `user_agent` is not this package's,
        it has no tag `event_id_tag` of the settings, and no request of ours in the table has its `client_request_id`,
        `request_id` or `invocation_id`; (`request_id`, `invocation_id`) identifies a row of theirs.
        Rows without a `request_id` are left out. It may be run again, and by several processes at once.

        Args:
            ledger: as `reconcile` takes it; it needs the columns `request_id`, `invocation_id` and `user_agent`.
            where: a condition on its rows, in SQL.

        Returns:
            Rows added. Their `client_metadata` has an `event_id` made from the key, and the outcome `imported`.

        Raises:
            ConfigError: there is no such ledger, or it lacks a column that is needed.
            LedgerError: the table can't be written.
        """
        self.flush()
        return import_ledger(self._spark, self.table, ledger, where, self.event_id_tag)

    def maintain(self, keep_days: int | None = None) -> Maintained:
        """Joins the table's small files, and removes what no version of the last seven days needs.

        Args:
            keep_days: records that are older, in days, are deleted; None keeps all.
        """
        return maintain(self._spark, self.table, keep_days)


class Gateway:
    """A registered function and its ledger; close it, or use it as a context manager.

    Attributes:
        spark: the session that has it.
        usage: flush and reconcile.
        config: the settings in force.
        name: the function's name.
    """

    def __init__(self, spark: SparkSession, config: GatewayConfig, name: str) -> None:
        self.config = config
        self.name = name
        self.spark = spark
        spool_dir = spool_dir_of(spark, config)
        self.usage = Usage(
            spark,
            config.usage_table,
            spool_dir,
            local_dir=local_folder_for(spool_dir, config.spool_local_dir),
            event_id_tag=config.event_id_tag,
        )
        self._functions = _kind_of(spark)(spark, config, self.usage.spool_dir)
        self._added: dict[str, TaskFunction | None] = {}
        self._stopping = threading.Event()
        self._flusher: threading.Thread | None = None

    def close(self) -> None:
        """Ends the background flush, takes the function out of the session, and flushes once more.

        Functions that this registration took from an older one that is open are that one's again.
        After `spark.stop()` there is nothing left to close: the next session's flush finds the records.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._flusher is not None:
            self._flusher.join()
        held = [name for name in self._added if self._holder(name) is self]
        if self in _open:
            _open.remove(self)
        if self._functions.session_lives():
            for name in held:
                self._leave(name)
            self.usage.flush()
            self._functions.forget_ended_queries(all_that_ended=True)
        remove_stopped()

    def __enter__(self) -> Self:
        """The gateway itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def saved(self) -> dict[int | str, Savings]:
        """What the cache saved, by the execution id of the session's queries (as in the ledger and in Spark's UI).

        An action on an RDD has none: there it is its stage, as in `stage-3`.

        Counted as tasks end, also after a query's answers were removed. Those of a host that is not this one are known
        only where `coordination` is a Redis; what a killed worker did since its task began is not counted.

        Returns:
            For each query that had answers to share: `sent` and `saved`, in requests, or rows of an embedding service.
        """
        counts = self._functions.counts()
        queries = sorted(counts, key=lambda query: (is_stage(query), int(query.rpartition("-")[2])))
        return {query if is_stage(query) else int(query): counts[query].savings for query in queries}

    def explain(self, query: str | DataFrame, *, output_tokens: int | None = None) -> None:
        """Prints what each call of a query asks for, and from where in Spark's plan; see `gb.estimate_query`."""
        from gateway_batch.spark.estimates.query_estimate import explain  # it needs py4j

        print(explain(self.spark, self.config, query, output_tokens))

    def total(self) -> Counts:
        """What `saved` has of all queries together, and their requests."""
        return total(self._functions.counts().values())

    def column(self, task: TaskFunction | None, data: Mapping[str, Column], constants: Mapping[str, Any]) -> Column:
        """A call as a Column, for `gateway_batch.functions`; see `SessionBackend.column`."""
        return self._functions.column(self.name if task is None else task.name, task, data, constants)

    def _install(self, tasks: bool) -> None:
        remove_stale()
        for before in [other for other in _open if other.name == self.name and other._scope == self._scope]:
            before.close()
        _open.append(self)
        self._add(self.name, None)
        for task in TASKS if tasks else ():
            if not self._functions.has_anothers(self.spark, task.name):
                self._add(task.name, task)
        if self.config.flush_interval > 0:
            self._flusher = threading.Thread(target=self._flush_regularly, name="gateway_batch_flush", daemon=True)
            self._flusher.start()

    def _add(self, name: str, task: TaskFunction | None) -> None:
        self._functions.add(name, task)
        self._added[name] = task

    def _leave(self, name: str) -> None:
        """Gives a function to who had it before, or takes it out of the session."""
        heir = self._holder(name)
        if heir is None:
            self._functions.remove(name)
        else:
            heir._functions.add(name, heir._added[name])

    def _holder(self, name: str) -> Gateway | None:
        """Whose a SQL function of the scope is."""
        having = (other for other in reversed(_open) if other._scope == self._scope and name in other._added)
        return next((other for other in having if other._is_usable()), None)

    def _has(self, function: str) -> bool:
        return self._holder(self.name if function == FUNCTION else function) is self

    @property
    def _scope(self) -> str:
        return self._functions.scope

    def _is_usable(self) -> bool:
        return self._functions.session_lives()

    def _is_active(self) -> bool:
        return self._functions.is_active()

    def _flush_regularly(self) -> None:
        while not self._stopping.wait(self.config.flush_interval) and self._functions.session_lives():
            try:
                self._functions.forget_ended_queries()
                self.usage.flush()
            except GatewayBatchError as error:
                _log.warning("usage stays in the spool for now: %s", error)
            except Exception as error:
                _log.warning("usage stays in the spool for now: %s", type(error).__name__)
        remove_stopped()


def register_ai_query(
    spark: SparkSession,
    config: GatewayConfig | None = None,
    name: str = "ai_query",
    *,
    replace: bool = False,
    tasks: bool = True,
) -> Gateway:
    """Makes `ai_query` a SQL function of a session.

    A classic session's `newSession()`s and permanent views have it too; `docs/connect.md` says what differs on Spark
    Connect. The task functions (`ai_summarize`, ...) come with it, but those that the session has already, as on
    Databricks. Registering a name again replaces the registration before it. Records that earlier sessions left in the
    spool are flushed with the next ones.

    Args:
        spark: a session with Delta.
        config: settings; None reads the environment.
        name: the function's name.
        replace: whether a function of that name which is not ours may be replaced.
        tasks: whether the task functions come with it.

    Raises:
        ConfigError: a setting is wrong, or the session can't have the function.
        LedgerError: the spool folder can't be written.
    """
    if not re.fullmatch(r"[A-Za-z_]\w{0,127}", name):
        raise ConfigError(f"name: {name!r} is not the name of a SQL function")
    kind = _kind_of(spark)
    check_version(spark.version)
    if not replace and kind.has_anothers(spark, name):
        raise ConfigError(
            f"name: the session has a function {name} already, as on Databricks: register under another name, or pass "
            "replace=True to put ours in its place"
        )
    gateway = Gateway(spark, config or GatewayConfig.from_env(), name)
    gateway._install(tasks)
    _log.info(
        "%s is registered, its usage goes to %s", name, gateway.usage.table,
        extra={"gateway_batch": {"function": name, "usage_table": gateway.usage.table,
                                 "spool_dir": str(gateway.usage.spool_dir)}},
    )  # fmt: skip
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


def registration_of(function: str, name: str | None) -> Gateway:
    """The open registration that a Column belongs to: the newest, of the active session's if it has any.

    Args:
        function: `ai_query` or a task function.
        name: of the registration; None: any.

    Raises:
        ConfigError: none is open under that name, or it has no such function, as the session has its own.
        RuntimeError: none is open.
    """
    newest_first = [gateway for gateway in reversed(_open) if gateway._is_usable()]
    named = [gateway for gateway in newest_first if name in (None, gateway.name)]
    found = next((gateway for gateway in named if gateway._is_active()), named[0] if named else None)
    if found is None and newest_first:
        raise ConfigError(f"registration: {name!r} is not registered, or is closed")
    if found is None:
        raise RuntimeError(f"{function}: nothing is registered: call gateway_batch.register_ai_query(spark) first")
    if not found._has(function):
        raise ConfigError(
            f"{function} is not of the registration {found.name}: the session had a function of that name, or a newer "
            "registration has it. pyspark.sql.functions.call_function calls it as it is"
        )
    return found


def _kind_of(spark: SparkSession) -> type[SessionBackend]:
    """Each kind needs packages of its own: py4j the one, gRPC the other."""
    if is_classic(spark):
        from gateway_batch.spark.sql_functions.classic import ClassicFunctions

        return ClassicFunctions
    if not hasattr(spark, "session_id"):
        raise ConfigError(f"spark: is no Spark session, but {type(spark).__name__}")
    from gateway_batch.spark.sql_functions.connect import ConnectFunctions

    return ConnectFunctions


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
