"""Locks that the kernel drops with the process that has them: of a file, and of its bytes.

Byte-range locks belong to a process, not to a file handle: a process must have one `ByteLocks` of a file, made after
any fork, as closing another handle of the file would drop them all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gateway_batch.local_files.private import make_private, open_private

MOST_OWNERS = 4096
_LOOK_AGAIN_S = 0.005
_NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextlib.contextmanager
def locked(
    path: Path, *, where_possible: bool = False, wait: bool = True, within_s: float | None = None
) -> Iterator[None]:
    """Holds a file's lock. The file is made with mode 0600 if missing; a link in its place is not followed.

    Args:
        path: the file.
        where_possible: whether to continue without the lock on a mount that has none, or where there is a link in the
            file's place, or anything else that is no file.
        wait: whether to wait for it.
        within_s: how long it is waited for, in seconds; None: as long as it takes.

    Raises:
        BlockingIOError: another has it, and is not waited for, or not any longer.
    """
    try:
        lock = open_private(path)
    except OSError as error:
        if not (where_possible and error.errno in _NO_FILE):
            raise
        yield
        return
    try:
        try:
            if wait and within_s is not None:
                _lock_within(lock, within_s)
            else:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if not (where_possible and error.errno in _NO_LOCKS):
                raise
        yield
    finally:
        os.close(lock)


def _lock_within(lock: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
        time.sleep(_LOOK_AGAIN_S)


class ByteLocks:
    """This process's locks in one file.

    Args:
        path: made with mode 0600 if missing.
    """

    def __init__(self, path: Path) -> None:
        make_private(path.parent)
        self._fd = open_private(path)

    def lock(self, byte: int) -> bool:
        """Locks a byte; False if another process has it."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def lock_any(self, start: int = 0, most: int = MOST_OWNERS) -> int:
        """Locks the first byte that is free.

        Args:
            start: where to look first.
            most: how many bytes to try.

        Raises:
            OSError: none of them is free.
        """
        for byte in range(start, start + most):
            if self.lock(byte):
                return byte
        raise OSError(f"more than {most} processes share one file of locks on this host")

    def unlock(self, byte: int) -> None:
        """Lets a byte go."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)

    def is_locked(self, byte: int) -> bool:
        """Whether another process has a byte locked."""
        return self.first_locked(byte, 1) is not None

    def locked_by_others(self, start: int, end: int) -> int:
        """How many bytes of [start, end) other processes have locked."""
        count, ranges = 0, [(start, end)]
        while ranges:
            start, end = ranges.pop()
            if start < end and (found := self.first_locked(start, end - start)) is not None:
                at, length = found  # the kernel names any lock of the range, not the lowest
                count += length
                ranges += [(start, at), (at + length, end)]
        return count

    def first_locked(self, start: int, length: int) -> tuple[int, int] | None:
        """Start and length of a lock that another process holds in a range."""
        return byte_lock_of_others(self._fd, start, length)

    def close(self) -> None:
        """Lets all go."""
        os.close(self._fd)


def byte_lock_of_others(file: int, start: int = 0, length: int = 0) -> tuple[int, int] | None:
    """Start and length of a byte-range lock that another process holds in an open file; nothing is locked.

    Args:
        file: its descriptor.
        start: where the range begins.
        length: of the range; 0: to the end of the file, wherever that is.

    Raises:
        OSError: the mount has no such locks.
    """
    if sys.platform == "darwin":  # each system has its own `struct flock`
        form, fields = struct.Struct("qqihh"), (start, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
        at, size, _, kind, _ = form.unpack(fcntl.fcntl(file, fcntl.F_GETLK, form.pack(*fields)))
    else:
        form, fields = struct.Struct("hhqqi"), (fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, at, size, _ = form.unpack(fcntl.fcntl(file, fcntl.F_GETLK, form.pack(*fields)))
    return None if kind == fcntl.F_UNLCK else (at, size)
