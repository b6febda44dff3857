"""Slots that all processes of a host share, kept as byte-range locks of one file.

Byte i of the file, locked, is slot i taken; a byte past the slots, locked, is a process that takes part. The kernel
drops the locks of a process that dies, so no lease needs a timeout and a kill -9 strands nothing. Such locks belong
to a process, not to a file handle: there must be one `HostSlots` of a file in a process, made after any fork.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

_MEMBERS_AT = 1 << 20
_MAX_MEMBERS = 512
_COUNT_EVERY_S = 0.2


class HostSlots:
    """This process's part of `total` slots: at most its fair share, as few as it needs.

    Args:
        path: the shared file; made with mode 0600 if missing. Everyone must pass the same `total`.
        total: slots of all processes together.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._total = total
        self._clock = clock
        self._held: list[int] = []
        self._used = 0
        self._member: int | None = None
        self._members = 1
        self._rank = 0
        self._counted_at = 0.0

    def take(self) -> bool:
        """Takes a slot for a call; False if there is none to have now."""
        if self._used == len(self._held) and not self._lock_one():
            return False
        self._used += 1
        return True

    def give(self) -> None:
        """Gives a call's slot back: to the other processes, if this one holds more than its share."""
        self._used -= 1
        self._count_members()
        if len(self._held) > self._share():
            self._unlock(self._held.pop())

    def leave(self) -> None:
        """Gives all idle slots back and stops taking part, until the next `take`."""
        while len(self._held) > self._used:
            self._unlock(self._held.pop())
        if self._member is not None and not self._held:
            self._unlock(self._member)
            self._member = None

    def close(self) -> None:
        """Gives everything back."""
        os.close(self._fd)

    def _lock_one(self) -> bool:
        self._join()
        self._count_members()
        if len(self._held) >= max(1, self._share()):
            return False
        held = set(self._held)
        first = (self._member or 0) * 7919 % self._total  # processes start their search apart
        for step in range(self._total):
            slot = (first + step) % self._total
            if slot not in held and self._lock(slot):
                self._held.append(slot)
                return True
        return False

    def _share(self) -> int:
        """Slots this process may keep. With more processes than slots none is kept, so that all get turns."""
        if self._members > self._total:
            return 0
        return self._total // self._members + (self._rank < self._total % self._members)

    def _join(self) -> None:
        if self._member is not None:
            return
        for member in range(_MEMBERS_AT, _MEMBERS_AT + _MAX_MEMBERS):
            if self._lock(member):
                self._member = member
                self._counted_at = 0.0
                return
        raise OSError(f"more than {_MAX_MEMBERS} processes share the slots of one host")

    def _count_members(self) -> None:
        now = self._clock()
        if now - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = now
        me = _MEMBERS_AT if self._member is None else self._member
        self._rank = self._others(_MEMBERS_AT, me)
        self._members = self._rank + 1 + self._others(me + (self._member is not None), _MEMBERS_AT + _MAX_MEMBERS)

    def _others(self, start: int, end: int) -> int:
        """Bytes that other processes have locked in [start, end)."""
        count, ranges = 0, [(start, end)]
        while ranges:
            start, end = ranges.pop()
            if start < end and (found := _lock_in(self._fd, start, end - start)) is not None:
                at, length = found  # the kernel names any lock of the range, not the lowest
                count += length
                ranges += [(start, at), (at + length, end)]
        return count

    def _lock(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, byte: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)


def _lock_in(fd: int, start: int, length: int) -> tuple[int, int] | None:
    """Start and length of the first lock that another process holds in a range, by `struct flock` of the system."""
    if sys.platform == "darwin":
        form, fields = struct.Struct("qqihh"), (start, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
        at, size, _, kind, _ = form.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, form.pack(*fields)))
    else:
        form, fields = struct.Struct("hhqqi"), (fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, at, size, _ = form.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, form.pack(*fields)))
    return None if kind == fcntl.F_UNLCK else (at, size)
