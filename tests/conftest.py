"""Every JVM that the tests start, in processes of their own too, starts quickly; each file's time is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.quick_start import quick_driver
from tests.slowest import FileTimes

os.environ.setdefault("SPARK_SUBMIT_OPTS", quick_driver())


def pytest_configure(config: pytest.Config) -> None:
    if folder := os.environ.get("TEST_TIMES"):
        config.pluginmanager.register(FileTimes(Path(folder)))
