from __future__ import annotations

import sys

import pytest

from gateway_batch.spark.session import _ready_workers


@pytest.mark.parametrize(
    ("python", "master", "is_ready"),
    [
        (sys.executable, "local[*,4]", True),
        (sys.executable, "spark://host:7077", False),
        ("/another/bin/python3", "local[2]", False),
    ],
)
def test_workers_that_may_not_have_the_package_are_left_to_spark(python: str, master: str, is_ready: bool) -> None:
    assert bool(_ready_workers(python, master)) is is_ready
