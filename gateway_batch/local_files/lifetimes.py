"""Folders that last as long as the processes that hold them: removed at their end, or at the next start after a kill.

A holder has a shared lock of a file in the folder, which the kernel drops with the process: a folder whose lock can be
had alone has no holder any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from gateway_batch.local_files.private import make_private, open_private

_HELD = "held"
_TRIES = 3
"""A worker that is being stopped may make a file meanwhile."""


class HeldFolder:
    """A folder that this process holds; made, private to the user, if missing.

    Args:
        folder: the folder.

    Raises:
        OSError: it can't be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = os.getpid()
        self._lock: int | None = _hold(folder)

    def release(self) -> None:
        """Lets the folder go, and removes it unless another process holds it. Once is enough, and in this process."""
        if self._lock is None or self._process != os.getpid():
            return
        lock, self._lock = self._lock, None
        _remove_if_free(lock, self.folder)


def remove_ended(base: Path) -> None:
    """Removes the folders in `base` whose holders have ended, however they did."""
    if not base.is_dir():
        return
    for folder in base.iterdir():
        with contextlib.suppress(OSError):  # never held, removed since, or not readable
            _remove_if_free(open_private(folder / _HELD, os.O_RDWR), folder)


def is_held(folder: Path) -> bool:
    """Whether a process held the folder, or still does: then it is `remove_ended` that removes it."""
    return (folder / _HELD).exists()


def _hold(folder: Path) -> int:
    while True:
        make_private(folder)
        try:
            lock = open_private(folder / _HELD)
        except FileNotFoundError:  # it has just been removed
            continue
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(lock).st_ino == (folder / _HELD).stat().st_ino:
                return lock
        os.close(lock)


def _remove_if_free(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
    finally:
        os.close(lock)
