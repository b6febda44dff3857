"""Runs the command line as its users do: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`gateway-batch` with arguments, in a folder of the test's own and without its settings in the environment."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABRICKS_", "GATEWAY_BATCH_"))
    }

    def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("gateway-batch")), *arguments]
        settings = {**clean, "COLUMNS": "100", **environment}
        return subprocess.run(
            command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=170, check=False
        )

    return run_command
