from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gateway_batch
from gateway_batch.spark.session.session import _ready_workers


@pytest.mark.parametrize(
    ("python", "master", "is_ready"),
    [
        (sys.executable, "local[*,4]", True),
        (sys.executable, "spark://host:7077", False),
        (sys.executable, "local-cluster[2,1,1024]", False),
        ("/another/bin/python3", "local[2]", False),
    ],
)
def test_workers_that_may_not_have_the_package_are_left_to_spark(python: str, master: str, is_ready: bool) -> None:
    assert bool(_ready_workers(python, master)) is is_ready


def test_a_package_on_a_path_of_the_programs_own_is_left_to_tasks_to_bring(tmp_path: Path) -> None:
    folder = Path(gateway_batch.__file__).parent
    (tmp_path / "vendored").mkdir()
    (tmp_path / "vendored" / folder.name).symlink_to(folder)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'vendored')!r})\n"
        "from gateway_batch.spark.session.session import _ready_workers\n"
        "print(_ready_workers(sys.executable, 'local[2]'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )

    assert process.stdout == "{}\n"
