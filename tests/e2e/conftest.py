"""Runs the command line as its users do, as a process of its own; or in this one, whose JVM is warm."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

import gateway_batch as gb
from tests.quick_start import SMALL_TABLES

Run = Callable[..., subprocess.CompletedProcess[str]]

OURS = ("DATABRICKS_", "GATEWAY_BATCH_")
REVIEWS = 'title,review\nA,"The lake was cold, and deep."\nB,"We liked the ""old"" boat."\nC,It rained all day.\n'
GATEWAY_BATCH = str(Path(sys.executable).with_name("gateway-batch"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`gateway-batch` with arguments as a process, in the test's folder and without its settings in the environment."""

    def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {**without_settings(), "COLUMNS": "100", **environment}
        return subprocess.run(
            [GATEWAY_BATCH, *arguments], cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=500,
            check=False,
        )  # fmt: skip

    return run_command


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The test's folder, as `working_in`."""
    with working_in(tmp_path):
        yield tmp_path


@contextlib.contextmanager
def working_in(folder: Path, **environment: str) -> Iterator[None]:
    """Works in a folder, with these settings of ours alone; no session is active at first, and none remains."""
    before = Path.cwd()
    with patch.dict("os.environ", {**without_settings(), **environment}, clear=True):
        _go_to(folder)
        try:
            yield
        finally:
            _go_to(before)


def _go_to(folder: Path) -> None:
    """Where Spark looks for paths, too: its JVM began in another folder."""
    end_session()
    os.chdir(folder)
    if jvm := SparkContext._jvm:
        jvm.java.lang.System.setProperty("user.dir", str(folder))
        jvm.org.apache.hadoop.fs.FileSystem.closeAll()


def without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def session(warehouse: Path = Path("spark-warehouse")) -> SparkSession:
    """The active session, or a new one. A command in this process takes it, as it takes that of a Databricks job."""
    settings = {"spark.log.level": "ERROR", "spark.sql.shuffle.partitions": "2", **SMALL_TABLES}
    return gb.local_session(warehouse, settings=settings)


def end_session() -> None:
    if active := SparkSession.getActiveSession():
        active.stop()


def exit_code(run: Callable[..., object], program: str, *words: str) -> object:
    """Of a Python program that runs in this process, by a function of `runpy`."""
    with patch.object(sys, "argv", [program, *words]):
        try:
            run(program, run_name="__main__")
        except SystemExit as end:
            return end.code or 0
    return 0
