"""What the processes of a host tell each other of a service that refuses calls: when, how many it let through, a pause.

It is a page of numbers in shared memory, one of each service: looking at it is part of every call and costs next to
nothing. A process is a *member* while it sends. One that leaves hands the rate at which it sent to the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gateway_batch.locks import ByteLocks, locked

_BURSTS, _BURST_AT, _BURST_BEFORE_AT, _CLOSED_UNTIL, _SPARE_RATE, _SPARE_AT, _MEMBERS = range(7)
_FIRST_MEMBER, _A_MEMBER = 8, 3
_BURST, _LET_THROUGH, _RATE = range(_A_MEMBER)
_MOST_MEMBERS = 512
_SPARE_FOR_S = 1.0  # a task's end is often another one's begin

CELLS = _FIRST_MEMBER + _A_MEMBER * _MOST_MEMBERS


class Cells(Protocol):
    """Numbers by place."""

    def __getitem__(self, place: int, /) -> float: ...

    def __setitem__(self, place: int, number: float, /) -> None: ...


class Board:
    """One service's, as a member sees it. Times are seconds of a monotonic clock that all members read.

    Args:
        cells: `CELLS` numbers, zero at first, the same for all members.
        member: this one's number.
        lives: whether another member still does.
        lock: held while several cells change.
    """

    def __init__(
        self,
        cells: Cells,
        member: int = 0,
        lives: Callable[[int], bool] = lambda member: True,
        lock: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._cells = cells
        self._mine = _FIRST_MEMBER + _A_MEMBER * member
        self._member = member
        self._lives = lives
        self._lock = lock
        self._cells[self._mine + _BURST] = -1  # an earlier member of this number may have told
        self._cells[self._mine + _RATE] = 0.0

    @property
    def bursts(self) -> float:
        """How many bursts of 429s there have been."""
        return self._cells[_BURSTS]

    @property
    def closed_until(self) -> float:
        """Nobody sends before."""
        return self._cells[_CLOSED_UNTIL]

    @property
    def between_bursts_s(self) -> float:
        """Seconds from the last burst but one to the last; 0 before there are two."""
        return self._cells[_BURST_AT] - self._cells[_BURST_BEFORE_AT] if self.bursts > 1 else 0.0

    def refused(self, now: float, sent_at: float) -> None:
        """A call was answered 429: a new burst, unless it was sent before the last one was known."""
        with self._lock():
            if not self.bursts or sent_at > self._cells[_BURST_AT]:
                self._cells[_BURST_BEFORE_AT], self._cells[_BURST_AT] = self._cells[_BURST_AT], now
                self._cells[_BURSTS] += 1

    def close_until(self, at: float) -> None:
        """Nobody sends before, longer pauses aside."""
        with self._lock():
            self._cells[_CLOSED_UNTIL] = max(self._cells[_CLOSED_UNTIL], at)

    def tell(self, let_through: float) -> None:
        """How many calls of this member were let through, up to the last burst, since it told before."""
        self._cells[self._mine + _LET_THROUGH] = let_through
        self._cells[self._mine + _BURST] = self.bursts

    def told(self) -> list[float]:
        """What the members told of the last burst that noticed it so far."""
        bursts = self.bursts
        return [self._cells[cell + _LET_THROUGH] for cell in self._members() if self._cells[cell + _BURST] == bursts]

    def join(self, now: float) -> float | None:
        """Becomes a member that sends.

        Returns:
            The rate to begin with, in calls a second: what others left, or a fair share of theirs; None if none is
            known.
        """
        with self._lock():
            self._cells[_MEMBERS] = max(self._cells[_MEMBERS], self._member + 1)
            rate = self._spare(now, 0.0)
            if not rate and (rates := [rate for cell in self._members() if (rate := self._cells[cell + _RATE])]):
                rate = sum(rates) / (len(rates) + 1)
            self._cells[self._mine + _RATE] = rate
        return rate or None

    def sends_at(self, rate: float) -> None:
        """Tells this member's rate."""
        self._cells[self._mine + _RATE] = rate

    def take_over(self, now: float) -> float:
        """The rate that members left a while ago, for this one to add to its own; mostly 0."""
        if not self._cells[_SPARE_RATE] or now < self._cells[_SPARE_AT] + _SPARE_FOR_S:
            return 0.0
        with self._lock():
            return self._spare(now, _SPARE_FOR_S)

    def leave(self, now: float, rate: float) -> None:
        """Sends no more for now, and leaves its rate to the others; 0 if it knows none."""
        with self._lock():
            self._cells[self._mine + _RATE] = 0.0
            if rate:
                self._cells[_SPARE_RATE] += rate
                self._cells[_SPARE_AT] = now

    def _spare(self, now: float, for_s: float) -> float:
        if now < self._cells[_SPARE_AT] + for_s:
            return 0.0
        rate, self._cells[_SPARE_RATE] = self._cells[_SPARE_RATE], 0.0
        return rate

    def _members(self) -> Iterator[int]:
        for member in range(int(self._cells[_MEMBERS])):
            if member == self._member or self._lives(member):
                yield _FIRST_MEMBER + _A_MEMBER * member


class Boards(Protocol):
    """Where boards come from."""

    def of(self, service: str) -> Board:
        """A service's board. To be asked once for each service."""
        ...

    def close(self) -> None:
        """No board is used any more."""
        ...


class OwnBoards:
    """Boards that are shared with nobody."""

    def of(self, service: str) -> Board:
        """See `Boards.of`."""
        return Board([0.0] * CELLS)

    def close(self) -> None:
        """See `Boards.close`."""


class HostBoards:
    """Boards that processes of a host share, as files. One `HostBoards` of a folder in a process, made after any fork.

    Args:
        folder: made if missing, private to the user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[tuple[memoryview[float], mmap.mmap, ByteLocks]] = []

    def of(self, service: str) -> Board:
        """See `Boards.of`."""
        path = self._folder / hashlib.blake2b(service.encode(), digest_size=16).hexdigest()
        locks = ByteLocks(path.with_suffix(".members"))
        with locked(path):
            os.truncate(path, CELLS * 8)
        with path.open("r+b") as file:
            shared = mmap.mmap(file.fileno(), CELLS * 8)
        cells: memoryview[float] = memoryview(shared).cast("d")
        self._open.append((cells, shared, locks))
        return Board(cells, locks.lock_any(most=_MOST_MEMBERS), locks.is_locked, lambda: locked(path))

    def close(self) -> None:
        """See `Boards.close`."""
        for cells, shared, locks in self._open:
            cells.release()
            shared.close()
            locks.close()
        self._open.clear()
