"""One Spark session, and one usage table with its views, for the whole folder."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

import gateway_batch as gb
from gateway_batch.cli.main import app
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.read import read_cube
from tests.analytics.usage_views import OWN_PRICES, Usage, add_prices, generated_and_odd, make
from tests.spark.conftest import SETTINGS

# To plan anew takes most of the time of queries this small.
SMALL = {"spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "1"}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    session = gb.local_session(warehouse=warehouse, master="local[2,2]", settings={**SETTINGS, **SMALL})
    yield session
    session.stop()


@pytest.fixture(scope="session")
def deployed(spark: SparkSession) -> tuple[Usage, str]:
    """A usage table, and what the command says that makes its views."""
    tables = generated_and_odd()
    folder = make(spark, "days.usage", tables)
    usage = Usage(spark, "days", "days.usage", folder, pa.concat_tables(tables))
    ran = CliRunner().invoke(app, ["views", "deploy", "--usage-table", usage.table, "--schema", usage.schema, "--json"])
    assert ran.exit_code == 0, ran.output
    add_prices(spark, usage.schema, OWN_PRICES)
    return usage, ran.stdout


@pytest.fixture(scope="session")
def usage(deployed: tuple[Usage, str]) -> Usage:
    return deployed[0]


@pytest.fixture(scope="session")
def cube(spark: SparkSession, usage: Usage) -> UsageCube:
    return read_cube(spark, usage.table, usage.schema)
