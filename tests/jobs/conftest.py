"""Batch jobs, estimates, files in and out: the session and registrations of tests/spark, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from tests.spark.conftest import SETTINGS, echo_server, gateway, register, requests, server, shared_server

__all__ = ["echo_server", "gateway", "register", "requests", "server", "shared_server"]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    warehouse = tmp_path_factory.mktemp("spark") / "warehouse"
    session = gb.local_session(warehouse=warehouse, master="local[2,2]", settings=SETTINGS)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def spool_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One spool folder for a module's jobs."""
    return tmp_path_factory.mktemp("spool")
