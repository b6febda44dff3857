"""Where the tests' time goes: the slowest files of all pytest processes of a `make test`.

As a plugin (tests/conftest.py) it adds each file's seconds to the folder that TEST_TIMES names, if it names one.
`python -m tests.slowest FOLDER` prints the ten slowest.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest


class FileTimes:
    """Seconds by file, setting up and taking down included: a file pays for the session that it is the first to use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{os.getpid()}.json").write_text(json.dumps(self._seconds))


def slowest(folder: Path, most: int = 10) -> list[tuple[str, float]]:
    """The files that took longest, over all processes that wrote into the folder."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for process in folder.glob("*.json"):
        for file, spent in json.loads(process.read_text()).items():
            seconds[file] += spent
    return sorted(seconds.items(), key=lambda each: -each[1])[:most]


def main(folder: str) -> None:
    print("The slowest files:")
    for file, seconds in slowest(Path(folder)):
        print(f"{seconds:7.1f} s  {file}")


if __name__ == "__main__":
    main(*sys.argv[1:])
