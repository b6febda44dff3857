"""The functions of a classic session: SQL and Columns both come to the builder in `function`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from gateway_batch.admission.coordination import LEASE_TOKEN
from gateway_batch.config import DRIVER, GatewayConfig
from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.spark.calls.ai_functions import TaskFunction
from gateway_batch.spark.calls.call_plan import CallerSettings
from gateway_batch.spark.calls.planning import Planner
from gateway_batch.spark.calls.scope import hold_application, kept_queries, remove_query
from gateway_batch.spark.files import read_files
from gateway_batch.spark.optimizer.rules import rules_of
from gateway_batch.spark.session.expressions import Expressions
from gateway_batch.spark.session.interrupt import cancel_jobs_on_interrupt
from gateway_batch.spark.session.jvm import jvm_of
from gateway_batch.spark.session.session_kind import runs_on_one_host
from gateway_batch.spark.session.system_catalog import name_system_table
from gateway_batch.spark.sql_functions.driver_leases import lease_server_of
from gateway_batch.spark.sql_functions.session_backend import SessionBackend
from gateway_batch.spark.sql_functions.spool_probe import check_spool_is_shared
from gateway_batch.spark.sql_functions.sql_function import CallBuilder, install, install_table_function, uninstall
from gateway_batch.spark.worker.partition import FUNCTION

_registrations = itertools.count(1)
_installed: set[str] = set()


class ClassicFunctions(SessionBackend):
    """The functions of one registration in a classic session.

    Args:
        spark: the session; sessions made from it later have the functions too.
        config: the settings in force.
        spool_dir: where usage records go.
    """

    scope = ""  # a process has one Spark context

    def __init__(self, spark: SparkSession, config: GatewayConfig, spool_dir: Path) -> None:
        self._spark = spark
        self.config = config
        cancel_jobs_on_interrupt()
        context = spark.sparkContext
        self.application_id = context.applicationId
        hold_application(context.applicationId, lambda: context._jsc is not None)
        leases = lease_server_of(context) if config.coordination == DRIVER else None
        runtime = RuntimeSettings.of(
            config,
            scope=context.applicationId,
            registration=next(_registrations),
            spool_dir=spool_dir,
            on_one_host=runs_on_one_host(spark),
            lease_url=None if leases is None else leases.url,
        )
        if runtime.ships:
            check_spool_is_shared(spark, spool_dir)
        caller = CallerSettings(
            application_id=context.applicationId,
            requester=config.requester or context.sparkUser(),
            account_id=config.account_id,
            workspace_id=config.workspace_id,
        )
        expressions = Expressions(jvm_of(spark))
        planner = Planner(
            config,
            runtime,
            caller,
            parse_type=expressions.parse_type,
            time_zone=lambda: expressions.time_zone(spark.conf.get("spark.sql.session.timeZone") or "UTC"),
        )
        values = config.credentials().values()
        if leases is not None:
            values[LEASE_TOKEN] = leases.token
        name_system_table(spark, config.usage_table)
        self._builder = CallBuilder(spark, planner, context.broadcast(values), rules_of(spark, FUNCTION))

    @staticmethod
    def has_anothers(spark: SparkSession, name: str) -> bool:
        """Whether the session has a function of that name which is not ours."""
        return name not in _installed and spark.catalog.functionExists(name)

    def add(self, name: str, task: TaskFunction | None) -> None:
        """Makes a SQL function."""
        install(self._spark, name, self._builder.ai_query if task is None else self._builder.task(task))
        _installed.add(name)
        if task is None:
            install_table_function(self._spark, read_files.NAME, read_files.ReadFiles(self._spark).build)

    def remove(self, name: str) -> None:
        """Takes a SQL function out of the session."""
        uninstall(self._spark, name)

    def column(
        self, name: str, task: TaskFunction | None, data: Mapping[str, Column], constants: Mapping[str, Any]
    ) -> Column:
        """A call as a Column: the SQL function's, with its constants as literals."""
        literals = {key: _literal(value, as_map=key == "options") for key, value in constants.items()}
        return F.call_function(name, *(self._named(*argument) for argument in {**data, **literals}.items()))

    def forget_ended_queries(self, *, all_that_ended: bool = False) -> None:
        """Removes the answers that queries kept on this host while they ran.

        Spark hears of a query's start with a delay, so one that it doesn't know may have just begun. A failed stage may
        come again.
        """
        context = self._spark.sparkContext
        store = self._spark._jsparkSession.sharedState().statusStore()
        for query in list(kept_queries(context.applicationId)):
            if not query.isdecimal():  # of an action on an RDD
                ended = all_that_ended and not context.statusTracker().getActiveStageIds()
            else:
                execution = store.execution(int(query))
                ended = execution.get().completionTime().isDefined() if execution.isDefined() else all_that_ended
            if ended:
                remove_query(context.applicationId, query)

    def session_lives(self) -> bool:
        """Whether the session can still be asked."""
        return self._spark.sparkContext._jsc is not None

    def is_active(self) -> bool:
        """Whether the session is the one that this thread works with: all of a process share the functions."""
        return True

    def _named(self, name: str, value: Column) -> Column:
        sql = jvm_of(self._spark).java_class("org.apache.spark.sql.api.python.PythonSQLUtils")
        return Column(sql.namedArgumentExpression(name, value._jc))


def _literal(value: Any, *, as_map: bool = False) -> Column:
    """A literal of a JSON value: an object is a MAP, or a STRUCT as `named_struct` makes it."""
    if isinstance(value, dict):
        items = [F.lit(name) if part == 0 else _literal(item) for name, item in value.items() for part in (0, 1)]
        return F.create_map(*items) if as_map else F.named_struct(*items)
    if isinstance(value, list):
        return F.array(*(_literal(item) for item in value))
    return F.lit(value)
