"""Batch jobs, estimates, files in and out: the session and registrations of tests/spark, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spark.conftest import echo_server, gateway, register, requests, server, shared_server, spark

__all__ = ["echo_server", "gateway", "register", "requests", "server", "shared_server", "spark"]


@pytest.fixture(scope="module")
def spool_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One spool folder for a module's jobs."""
    return tmp_path_factory.mktemp("spool")
