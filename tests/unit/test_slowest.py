"""What `make test` says at its end."""

from __future__ import annotations

import json
from pathlib import Path

from tests.slowest import FileTimes, slowest


class Report:
    def __init__(self, nodeid: str, duration: float) -> None:
        self.nodeid, self.duration = nodeid, duration


def test_the_slowest_files_of_all_processes_are_named(tmp_path: Path) -> None:
    times = FileTimes(tmp_path / "times")
    for nodeid, seconds in (("a.py::test_x[1]", 1.0), ("b.py::test_y", 0.5), ("a.py::test_z", 2.0)):
        times.pytest_runtest_logreport(Report(nodeid, seconds))  # type: ignore[arg-type]
    times.pytest_sessionfinish()
    (tmp_path / "times" / "another.json").write_text(json.dumps({"b.py": 4.0, "c.py": 0.1}))
    assert slowest(tmp_path / "times", most=2) == [("b.py", 4.5), ("a.py", 3.0)]
