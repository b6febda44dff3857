"""What the processes of a host share of a service that refuses calls: when, how many it let through, a pause.

It is a page of numbers in shared memory, one of each service: looking at it is part of every call and costs next to
nothing. A process is a *member* while it sends. One that leaves hands the rate at which it sent to the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gateway_batch.local_files.locks import ByteLocks, locked

_BURSTS, _BURST_AT, _BURST_BEFORE_AT, _CLOSED_UNTIL, _SPARE_RATE, _SPARE_AT, _MEMBERS = range(7)
_FIRST_MEMBER, _A_MEMBER = 8, 4
_JOINED_AT, _BURST, _LET_THROUGH, _RATE = range(_A_MEMBER)
_MOST_MEMBERS = 512
_SPARE_FOR_S = 1.0  # a task's end is often another one's begin
_MOST = 1e12
_LOCK_WITHIN_S, _FIRST_LOCK_WITHIN_S = 0.02, 1.0  # calls wait meanwhile
_CLOCKS_DIFFER_S = 0.02  # an event loop reads its clock once a turn

CELLS = _FIRST_MEMBER + _A_MEMBER * _MOST_MEMBERS

_log = logging.getLogger(__name__)


class Cells(Protocol):
    """Numbers by place."""

    def __getitem__(self, place: int, /) -> float: ...

    def __setitem__(self, place: int, number: float, /) -> None: ...


class SharedThrottleState:
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
        self._cells[self._mine + _BURST] = -1  # an earlier member of this number may have reported
        self._cells[self._mine + _RATE] = 0.0

    @property
    def bursts(self) -> float:
        """How many bursts of 429s there have been."""
        return self._read(_BURSTS)

    @property
    def closed_until(self) -> float:
        """Nobody sends before."""
        return self._read(_CLOSED_UNTIL)

    def refused(self, now: float, sent_at: float) -> None:
        """A call was answered 429: a new burst, unless it was sent before the last one was known."""
        with self._lock():
            if not self.bursts or sent_at > self._read(_BURST_AT) + _CLOCKS_DIFFER_S:
                self._cells[_BURST_BEFORE_AT], self._cells[_BURST_AT] = self._read(_BURST_AT), now
                self._cells[_BURSTS] = self.bursts + 1

    def close_until(self, at: float) -> None:
        """Nobody sends before, longer pauses aside."""
        with self._lock():
            self._cells[_CLOSED_UNTIL] = max(self.closed_until, at)

    def report(self, let_through: float) -> None:
        """How many calls of this member were let through, up to the last burst, since its last report."""
        self._cells[self._mine + _LET_THROUGH] = let_through
        self._cells[self._mine + _BURST] = self.bursts

    def measured(self) -> tuple[float, float]:
        """What a member let through on average between the last two bursts, of those that noticed the last.

        Returns:
            Calls, and the seconds over which there were any members; both 0 before there are two bursts.
        """
        bursts = self.bursts
        reported = [cell for cell in self._members() if self._cells[cell + _BURST] == bursts]
        if bursts < 2 or not reported:
            return 0.0, 0.0
        first_joined_at = min(self._read(cell + _JOINED_AT) for cell in reported)
        over_s = self._read(_BURST_AT) - max(self._read(_BURST_BEFORE_AT), first_joined_at)
        return sum(self._read(cell + _LET_THROUGH) for cell in reported) / len(reported), over_s

    def join(self, now: float) -> float | None:
        """Becomes a member that sends.

        Returns:
            The rate to begin with, in calls a second: what others left, or a fair share of theirs; None if none is
            known.
        """
        with self._lock():
            self._cells[_MEMBERS] = max(self._read(_MEMBERS), self._member + 1)
            rate = self._spare(now, 0.0)
            if not rate and (rates := [rate for cell in self._members() if (rate := self._read(cell + _RATE)) > 0]):
                rate = sum(rates) / (len(rates) + 1)
            self._cells[self._mine + _RATE] = rate
            self._cells[self._mine + _JOINED_AT] = now
        return rate or None

    def sends_at(self, rate: float) -> None:
        """Reports this member's rate."""
        self._cells[self._mine + _RATE] = rate

    def take_over(self, now: float) -> float:
        """The rate that members left a while ago, for this one to add to its own; mostly 0."""
        if not self._cells[_SPARE_RATE] or now < self._read(_SPARE_AT) + _SPARE_FOR_S:
            return 0.0
        with self._lock():
            return self._spare(now, _SPARE_FOR_S)

    def leave(self, now: float, rate: float) -> None:
        """Sends no more for now, and leaves its rate to the others; 0 if it knows none."""
        with self._lock():
            self._cells[self._mine + _RATE] = 0.0
            if rate:
                self._cells[_SPARE_RATE] = self._read(_SPARE_RATE) + rate
                self._cells[_SPARE_AT] = now

    def _spare(self, now: float, for_s: float) -> float:
        if now < self._read(_SPARE_AT) + for_s:
            return 0.0
        rate, self._cells[_SPARE_RATE] = self._read(_SPARE_RATE), 0.0
        return max(0.0, rate)

    def _read(self, place: int) -> float:
        """A number, or 0 where another process wrote none, or one beyond all times, counts and rates."""
        number = self._cells[place]
        return number if -_MOST <= number <= _MOST else 0.0

    def _members(self) -> Iterator[int]:
        for member in range(min(_MOST_MEMBERS, int(self._read(_MEMBERS)))):
            if member == self._member or self._lives(member):
                yield _FIRST_MEMBER + _A_MEMBER * member


class ThrottleStates(Protocol):
    """Where the state of each service comes from."""

    def of(self, service: str) -> SharedThrottleState:
        """A service's state. To be called once for each service."""
        ...

    def close(self) -> None:
        """No state is used any more."""
        ...


class PrivateThrottleStates:
    """States that are shared with nobody."""

    def of(self, service: str) -> SharedThrottleState:
        """See `ThrottleStates.of`."""
        return SharedThrottleState([0.0] * CELLS)

    def close(self) -> None:
        """See `ThrottleStates.close`."""


class HostThrottleStates:
    """States that processes of a host share, as files. One object for a folder in a process, made after any fork.

    Args:
        folder: made if missing, private to the user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: list[ByteLocks] = []

    def of(self, service: str) -> SharedThrottleState:
        """See `ThrottleStates.of`. One that is shared with nobody where the file can't be had."""
        path = self._folder / hashlib.blake2b(service.encode(), digest_size=16).hexdigest()
        try:
            locks = ByteLocks(path.with_suffix(".members"))
            self._locks.append(locks)
            member, cells = locks.lock_any(most=_MOST_MEMBERS), _shared_cells(path)
        except OSError as error:
            _log.warning("what a service refuses is not shared with other processes: %s", error)
            return PrivateThrottleStates().of(service)
        return SharedThrottleState(cells, member, locks.is_locked, lambda: _locked_or_not(path))

    def close(self) -> None:
        """See `ThrottleStates.close`."""
        for locks in self._locks:
            locks.close()
        self._locks.clear()


@contextlib.contextmanager
def _locked_or_not(path: Path) -> Iterator[None]:
    """The lock, unless a process that was stopped has it: then a burst may be counted twice, or a rate be lost."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            held.enter_context(locked(path, within_s=_LOCK_WITHIN_S))
        yield


def _shared_cells(path: Path) -> memoryview[float]:
    size = CELLS * 8
    with locked(path, within_s=_FIRST_LOCK_WITHIN_S), path.open("r+b") as file:
        if file.seek(0, os.SEEK_END) < size:
            file.write(bytes(size))  # room that the disk lacked later would end the process
            file.flush()
        return memoryview(mmap.mmap(file.fileno(), size)).cast("d")
