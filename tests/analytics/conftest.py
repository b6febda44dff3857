"""The registrations are those of the Spark tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from tests.spark.conftest import SETTINGS, register, server, shared_server

__all__ = ["register", "server", "shared_server"]

# To compile each query's code takes a third of the time of queries this small, and what these tests look at is the same
# either way. How rows reach ai_query is not: the Spark tests compile.
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    session = gb.local_session(warehouse=warehouse, master="local[2,2]", settings={**SETTINGS, **INTERPRETED})
    yield session
    session.stop()
