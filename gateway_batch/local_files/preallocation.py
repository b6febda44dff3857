"""Disk space that is reserved before it is needed: `fallocate(2)`, which Python's `os` doesn't have."""

from __future__ import annotations

import ctypes
import errno
import os

_KEEP_SIZE = 1
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS)


def preallocate(fd: int, start: int, length: int) -> bool:
    """Reserves space in a file, which keeps its size: what is written there later can't fail on a full disk.

    Returns:
        Whether it did; False where the system or the file system can't.

    Raises:
        OSError: there is no room.
    """
    if _fallocate is None:
        return False
    while _fallocate(fd, _KEEP_SIZE, start, length):
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return True


_fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
if _fallocate is not None:
    _fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
