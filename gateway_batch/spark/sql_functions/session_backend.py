"""What a registration needs of a session, whatever its kind: `classic` and `connect` are the two that there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyspark.sql import Column, SparkSession

from gateway_batch.config import GatewayConfig
from gateway_batch.response_cache import Counts
from gateway_batch.response_cache.process_cache import savings_of
from gateway_batch.spark.calls.ai_functions import TaskFunction


class SessionBackend(ABC):
    """The functions of one registration in a session. `task` is None for `ai_query`, under whatever name."""

    scope: str
    """Where names are known: of registrations of one name and scope, the newest holds."""

    config: GatewayConfig
    application_id: str

    @abstractmethod
    def __init__(self, spark: SparkSession, config: GatewayConfig, spool_dir: Path) -> None:
        """Raises ConfigError where the session and the settings don't suit each other."""

    @staticmethod
    @abstractmethod
    def has_anothers(spark: SparkSession, name: str) -> bool:
        """Whether the session has a function of that name which is not ours."""

    @abstractmethod
    def add(self, name: str, task: TaskFunction | None) -> None:
        """Makes a SQL function.

        Raises:
            ConfigError: the session can't have it.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Takes a SQL function out of the session."""

    @abstractmethod
    def column(
        self, name: str, task: TaskFunction | None, data: Mapping[str, Column], constants: Mapping[str, Any]
    ) -> Column:
        """A call as a Column.

        Args:
            name: of the SQL function.
            task: which function it is.
            data: the arguments that may depend on data.
            constants: the others, as JSON has them.

        Raises:
            AiFunctionError: an argument is wrong, where that is known before the query is analysed.
            ConfigError: the endpoint can't be resolved.
        """

    @abstractmethod
    def forget_ended_queries(self, *, all_that_ended: bool = False) -> None:
        """Removes the answers that queries kept on this host while they ran, where it can be known that they ended.

        Args:
            all_that_ended: also those that the session no longer knows of.
        """

    def counts(self) -> dict[str, Counts]:
        """What was sent and saved in the application's queries, by execution id."""
        return savings_of(self.config, self.application_id)

    @abstractmethod
    def session_lives(self) -> bool:
        """Whether the session can still be asked."""

    @abstractmethod
    def is_active(self) -> bool:
        """Whether the session is the one that this thread works with."""
