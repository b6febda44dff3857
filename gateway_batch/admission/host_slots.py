"""Slots that all processes of a host share, kept as byte-range locks of one file.

Byte i of the file, locked, is slot i taken; a byte past the slots, locked, is a process that takes part. The kernel
drops the locks of a process that dies, so no lease needs a timeout and a kill -9 strands nothing. Such locks belong
to a process (`locks`): there must be one `HostSlots` of a file in a process, made after any fork.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from gateway_batch.local_files.locks import ByteLocks

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
        self._locks = ByteLocks(path)
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
            self._locks.unlock(self._held.pop())

    def release_idle(self) -> None:
        """Gives all idle slots back and stops taking part, until the next `take`."""
        while len(self._held) > self._used:
            self._locks.unlock(self._held.pop())
        if self._member is not None and not self._held:
            self._locks.unlock(self._member)
            self._member = None

    def close(self) -> None:
        """Gives everything back."""
        self._locks.close()

    def _lock_one(self) -> bool:
        self._join()
        self._count_members()
        if len(self._held) >= max(1, self._share()):
            return False
        held = set(self._held)
        first = (self._member or 0) * 7919 % self._total  # processes start their search apart
        for step in range(self._total):
            slot = (first + step) % self._total
            if slot not in held and self._locks.lock(slot):
                self._held.append(slot)
                return True
        return False

    def _share(self) -> int:
        """Slots this process may keep. With more processes than slots none is kept, so that all get turns."""
        if self._members > self._total:
            return 0
        return self._total // self._members + (self._rank < self._total % self._members)

    def _join(self) -> None:
        if self._member is None:
            self._member = self._locks.lock_any(_MEMBERS_AT, _MAX_MEMBERS)
            self._counted_at = 0.0

    def _count_members(self) -> None:
        now = self._clock()
        if now - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = now
        me = _MEMBERS_AT if self._member is None else self._member
        self._rank = self._locks.locked_by_others(_MEMBERS_AT, me)
        after = me + (self._member is not None)
        self._members = self._rank + 1 + self._locks.locked_by_others(after, _MEMBERS_AT + _MAX_MEMBERS)
