"""The wall clock of Python workers, drains and drivers, shifted by a file that they read.

They import `worker_path/sitecustomize.py` as they start, which puts a shifted clock in the place of `time.time`: all
times of records come from there. The kernel's own clock, and with it the times of files, stays.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = Path(__file__).parent / "worker_path"


class Clock:
    """The file; `environment` makes a process follow it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        before = os.environ.get("PYTHONPATH")
        self.environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_FOLDER), before))),
            "FAULT_CAMPAIGN_CLOCK": str(path),
        }
        self.shift(0)

    def shift(self, seconds: float) -> None:
        """Jumps to an offset from the true time, in seconds."""
        partial = self._path.with_suffix(".tmp")
        partial.write_text(str(seconds))
        partial.rename(self._path)
