"""The functions of a Spark Connect session, which has no py4j.

SQL gets functions whose plan is made in the worker (`connect_sql`, `connect_worker`); Columns are planned here, so they
have any type. No secret may enter a plan: tokens are references that the workers resolve.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.apis import task_of
from gateway_batch.config import DRIVER, GatewayConfig, credential_reference, resolve_service
from gateway_batch.engine.runtime import RuntimeSettings
from gateway_batch.errors import ConfigError
from gateway_batch.spark.calls.ai_functions import TaskFunction
from gateway_batch.spark.calls.call_plan import CallerSettings, Input
from gateway_batch.spark.calls.planning import Planned, Planner
from gateway_batch.spark.calls.signature import AI_QUERY, Constants, constant_of
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import runs_on_one_host
from gateway_batch.spark.sql_functions import connect_sql
from gateway_batch.spark.sql_functions.arrow_udf import arrow_function
from gateway_batch.spark.sql_functions.connect_worker import make_planning_function, no_ddl, utc
from gateway_batch.spark.sql_functions.session_backend import SessionBackend
from gateway_batch.spark.sql_functions.spool_probe import check_spool_is_shared
from gateway_batch.spark.sql_types.record_json import OPTIONS
from gateway_batch.spark.worker.partition import FUNCTION, make_function
from gateway_batch.types import Task


class ConnectFunctions(SessionBackend):
    """The functions of one registration in a Spark Connect session.

    Args:
        spark: the session.
        config: the settings in force.
        spool_dir: where usage records go; the workers and this process have to share it.

    Raises:
        ConfigError: a token is given by value, the spool folder is not shared, or the workers lack this package.
    """

    def __init__(self, spark: SparkSession, config: GatewayConfig, spool_dir: Path) -> None:
        _check_tokens(config)
        if config.coordination == DRIVER:
            raise ConfigError(
                "coordination: a Spark Connect client runs in no driver: share limits through Redis, or on one machine "
                "with host"
            )
        check_spool_is_shared(spark, spool_dir)
        self._spark = spark
        self._python = ""
        self.scope = spark.session_id  # type: ignore[attr-defined]
        self.config = config
        application = self.application_id = spark.conf.get("spark.app.id", None) or self.scope
        self._planner = Planner(
            config,
            RuntimeSettings.of(
                config,
                scope=application,
                registration=secrets.randbits(31),
                spool_dir=spool_dir,
                on_one_host=runs_on_one_host(spark),
            ),
            CallerSettings(
                application_id=application,
                requester=config.requester or _user(spark),
                account_id=config.account_id,
                workspace_id=config.workspace_id,
            ),
            parse_type=spark._parse_ddl,
            time_zone=lambda: spark.conf.get("spark.sql.session.timeZone") or "UTC",
        )

    @staticmethod
    def has_anothers(spark: SparkSession, name: str) -> bool:
        """Whether the session has a function of that name which is not ours, of an earlier process either."""
        if not spark.catalog.functionExists(name):
            return False
        return connect_sql.COMMENT not in (spark.catalog.getFunction(name).description or "")

    def add(self, name: str, task: TaskFunction | None) -> None:
        """Makes a SQL function.

        Raises:
            ConfigError: the session can't have it.
        """
        try:
            if task is None:
                self._python = connect_sql.python_function(name)
                planner = dataclasses.replace(self._planner, parse_type=no_ddl, time_zone=utc, texts=True)
                function = arrow_function(make_planning_function(planner), t.StringType(), self._python)
                self._spark.udf.register(self._python, function)
                self._spark.sql(connect_sql.create_ai_query(name, self._python))
            else:
                self._spark.sql(connect_sql.create_task(task, name, self._python))
        except PySparkException as error:
            raise ConfigError(f"name: the session can't have a function {name}: {first_line(error)}") from None

    def remove(self, name: str) -> None:
        """Takes a SQL function out of the session, and with `ai_query` what is behind it."""
        self._spark.sql(connect_sql.drop(name))
        if self._python == connect_sql.python_function(name):
            self._spark.sql(connect_sql.drop(self._python))

    def column(
        self, name: str, task: TaskFunction | None, data: Mapping[str, Column], constants: Mapping[str, Any]
    ) -> Column:
        """A call as a Column, planned here.

        Raises:
            AiFunctionError: an argument is wrong.
            ConfigError: the endpoint can't be resolved.
        """
        given = {key: constant_of(value) for key, value in constants.items()}
        if task is None:
            return self._ai_query(data, Constants(AI_QUERY.function, given))
        contents = [_text(data[content]) for content in task.contents]
        columns = [contents[0] if len(contents) == 1 else F.array(*contents)]
        in_array = None
        if Input.LABELS in data:  # its type is known to the server only, so the version says what it is
            options = constants.get("options")
            in_array = not isinstance(options, Mapping) or options.get("version", "1.0") == "1.0"
            columns.append(_input(Input.LABELS, data[Input.LABELS], in_array=in_array))
        planned = self._planner.task(task, Constants(task.name, given), row_labels_in_array=in_array)
        call = _call(planned, columns)
        return F.parse_json(call) if planned.plan.shape.is_envelope else call

    def forget_ended_queries(self, *, all_that_ended: bool = False) -> None:
        """Nothing: answers are on the workers' hosts, which remove what was not used for a while."""

    def session_lives(self) -> bool:
        """Whether the session can still be asked."""
        return not self._spark.is_stopped  # type: ignore[attr-defined]

    def is_active(self) -> bool:
        """Whether the session is the one that this thread works with."""
        return type(self._spark).getActiveSession() is self._spark

    def _ai_query(self, data: Mapping[str, Column], constants: Constants) -> Column:
        """A Column's type is known to the server only, so the endpoint's API says whether the request is a STRUCT."""
        service = resolve_service(self._planner.config, constants.required_text("endpoint"), constants.text("api"))
        record = task_of(service.api) is Task.SCORING
        inputs = tuple(name for name in Input if name in data)
        planned = self._planner.ai_query(constants, inputs, record=record)
        return _call(planned, [_input(name, data[name], record=record) for name in inputs])


def _call(planned: Planned, columns: list[Column]) -> Column:
    return arrow_function(make_function(planned.plan), planned.column_type, FUNCTION)(*columns)


def _input(name: Input, column: Column, *, record: bool = False, in_array: bool = False) -> Column:
    match name:
        case Input.REQUEST:
            return F.to_json(column, OPTIONS) if record else _text(column)
        case Input.TAGS:
            return column.cast("MAP<STRING, STRING>")
        case Input.CONDITION:
            return column.cast("BOOLEAN")
        case Input.FILES:
            return column.cast("BINARY")
        case Input.LABELS:
            return column.cast("ARRAY<STRING>") if in_array else _text(column)


def _text(column: Column) -> Column:
    """The Column as STRING. Unlike a cast, `concat` refuses a STRUCT, an ARRAY or a MAP when the query is analysed."""
    return F.concat(column, F.lit(""))


def _check_tokens(config: GatewayConfig) -> None:
    for where, token in config.tokens().items():
        if credential_reference(token, where).startswith("value:"):
            raise ConfigError(
                f"{where}: on Spark Connect a {'URL with a password' if where == 'coordination' else 'token'} can't be "
                "given by value, as it would be part of every query: put "
                "it into the environment of the session's workers, or into a file there, and give env:NAME or file:PATH"
            )


def _user(spark: SparkSession) -> str:
    row = spark.sql("SELECT current_user()").first()
    assert row is not None
    return str(row[0])
