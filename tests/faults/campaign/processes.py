"""Signals for the processes behind a spool folder, and whole trees of processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from tests.cluster.standalone import kill, tree

__all__ = ["busy_writers", "kill", "kill_tree", "stop_for", "wait_for_busy_writer"]


def busy_writers(spools: Iterable[Path]) -> list[int]:
    """Process ids of the Python workers that are writing into spool folders.

    A writer's name has its process id; that its process has the writer's lock open proves that it still is that one.
    """
    folders = {path.parent for spool in spools for path in (spool / "active").glob("*-*/[0-9]*")}
    return [pid for folder in sorted(folders) if _has_open(pid := _pid_of(folder.name), folder / "lock")]


def wait_for_busy_writer(spools: Collection[Path], seconds: float, number: int) -> int | None:
    """One of them, counted round by a number; None if there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := busy_writers(spools):
            return found[number % len(found)]
        time.sleep(0.01)
    return None


def stop_for(pid: int, seconds: float) -> None:
    """Stops a process and lets it continue, as a host that stalls does."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


def kill_tree(pid: int) -> int:
    """Kills a process and all that it started; returns how many there were."""
    processes = tree(pid)
    for each in processes:
        kill(each)
    return len(processes)


def _pid_of(writer: str) -> int:
    return int(writer.rsplit("-", 2)[1])


def _has_open(pid: int, path: Path) -> bool:
    try:
        found = path.stat()
        return any(os.path.samestat(found, each.stat()) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
