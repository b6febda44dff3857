"""Two processes that import one gateway's record into one table at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.spark.test_usage_import import OTHERS, busy, gateway, traffic

__all__ = ["busy", "gateway", "traffic"]


@pytest.mark.timeout(400)
def test_two_processes_at_once_add_each_row_once(traffic: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "another"
    warehouse.mkdir()
    command = [str(Path(sys.executable).with_name("gateway-batch")), "usage", "import", str(traffic), "--json"]
    command += ["--warehouse", str(warehouse)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    found = [json.loads(output) for output, _ in outputs]
    assert sorted(each["imported"] for each in found) == [0, OTHERS]
