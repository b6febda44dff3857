"""Whether the process of a writer lives, by the locks that it holds as long as it does.

It has two: of its folder, and of the file `lock` in there, which a cleaner of old files may take away. The kernel drops
both with the process. That a lock can be had proves a death only where it could be seen:

- The writer ran on this machine: either lock was seen.
- The folder is on a disk of this machine, which may export it: a client's lock of the folder stays on the client, that
  of the file arrives here, by NFS and Samba as a byte-range lock, which is no hindrance to a `flock` and is asked for.
- Otherwise nothing was: a mount may keep the locks of each machine to itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Self

from gateway_batch.local_files.locks import byte_lock_of_others
from gateway_batch.local_files.machine import boot_id, machine_id, on_local_disk
from gateway_batch.local_files.private import open_private
from gateway_batch.usage.segment import Origin, origin_of
from gateway_batch.usage.segment_names import host_of
from gateway_batch.usage.spool_folders import LOCK, UNKNOWN_FILE, active_segments, is_file


class Life(Enum):
    """What is known of a writer's process."""

    LIVING = auto()
    DEAD = auto()
    ELSEWHERE = auto()
    """It may live, and have locks that can't be seen here."""
    UNLOCKED = auto()
    """It may live, as no lock that it had is still there."""


class WriterLocks:
    """Those of one folder, held.

    Attributes:
        of_folder: whether the folder's own is among them.
        of_file: whether that of the file `lock` is.
    """

    def __init__(self) -> None:
        self.of_folder = self.of_file = False
        self._held: list[int] = []

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Takes those of a new writer.

        Raises:
            OSError: the file can't be made, or the mount has no locks.
        """
        locks = cls()
        try:
            locks._lock(open_private(folder / LOCK), fcntl.LOCK_EX)
            locks.of_file = True
            with contextlib.suppress(OSError):  # of files only, on some mounts
                locks._lock_folder(folder, fcntl.LOCK_EX)
        except BaseException:
            locks.release()
            raise
        return locks

    @classmethod
    def take(cls, folder: Path, how: int = fcntl.LOCK_EX) -> Self | None:
        """Takes those that are there; None if another process has one, or the folder is gone.

        Args:
            folder: the writer's.
            how: exclusively, or shared with others that look.

        Raises:
            OSError: the folder can't be looked at.
        """
        locks = cls()
        try:
            if is_file(folder / LOCK):  # else it was cleaned away, or another recovery has just removed it
                locks._lock(open_private(folder / LOCK, os.O_RDWR), how | fcntl.LOCK_NB)
                locks.of_file = True
                if _has_byte_lock(locks._held[-1]):
                    locks.release()
                    return None
            locks._lock_folder(folder, how | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            locks.release()
            return None
        except OSError:
            if not locks.of_file:
                locks.release()
                raise
        return locks

    def release(self) -> None:
        """Lets them go."""
        while self._held:
            os.close(self._held.pop())

    def _lock_folder(self, folder: Path, how: int) -> None:
        self._lock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC), how)
        self.of_folder = True

    def _lock(self, file: int, how: int) -> None:
        self._held.append(file)
        fcntl.flock(file, how)


@contextlib.contextmanager
def examined(folder: Path) -> Iterator[Life]:
    """Looks whether a writer lives, and holds the locks of one that doesn't meanwhile.

    Args:
        folder: the writer's.

    Raises:
        OSError: the folder can't be looked at.
    """
    locks = WriterLocks.take(folder)
    if locks is None:
        yield Life.LIVING
        return
    try:
        yield _life(locks.of_file, folder)
    finally:
        locks.release()


def life_of(folder: Path) -> Life:
    """As `examined`, without holding anything: a recovery may come at once.

    Raises:
        OSError: the folder can't be looked at.
    """
    locks = WriterLocks.take(folder, fcntl.LOCK_SH)
    if locks is None:
        return Life.LIVING
    locks.release()
    return _life(locks.of_file, folder)


def segment_origin(folder: Path) -> Origin:
    """What the first readable header in a writer's folder says."""
    for path in (*active_segments(folder), folder / UNKNOWN_FILE):
        if is_file(path) and (found := origin_of(path)) is not None:
            return found
    return Origin()


def _life(had_file: bool, folder: Path) -> Life:
    """Of a writer whose locks could be had, that of its file `lock` among them or not."""
    origin = segment_origin(folder)
    if _ran_here(folder.name, origin):  # without a segment there is nothing to lose
        return Life.DEAD if had_file or origin.folder_locked or not active_segments(folder) else Life.UNLOCKED
    if on_local_disk(folder):
        return Life.DEAD if had_file else Life.UNLOCKED
    return Life.ELSEWHERE


def _ran_here(writer: str, origin: Origin) -> bool:
    """By the kernel that it ran on, else by the names of host and machine.

    The host's name alone is no proof where both kernels are known: containers and clones have names in common.
    """
    boot, machine = boot_id(), machine_id()
    if origin.boot is None or boot is None:
        return host_of(writer) == os.uname().nodename and origin.machine in (None, machine)
    restarted = machine is not None and origin.machine == machine and host_of(writer) == os.uname().nodename
    return origin.boot == boot or restarted


def _has_byte_lock(file: int) -> bool:
    try:
        return byte_lock_of_others(file) is not None
    except OSError:  # the mount has none
        return False
