"""The write side of the spool: one writer a process, intent before the bytes leave, outcome after.

Layout of a spool folder:
    active/<writer>/lock         locked while its process lives
    active/<writer>/<n>.log      segments being written
    sealed/<writer>-<n>.<rows>.log   complete segments, for the drain; `rows` is how many outcomes they hold
    drain/                       the drain's own state
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.usage.record import UsageRecord
from gateway_batch.usage.segment import Kind, encode, header


def active_dir(spool_dir: Path) -> Path:
    """Where segments are written."""
    return spool_dir / "active"


def sealed_dir(spool_dir: Path) -> Path:
    """Where complete segments wait for the drain."""
    return spool_dir / "sealed"


def writer_name() -> str:
    """A new name for a writer of this process: host, process, chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_local(writer: str) -> bool:
    """Whether a writer's name is one of this host's."""
    return writer.rsplit("-", 2)[0] == socket.gethostname()


def prepare(spool_dir: Path) -> None:
    """Makes the folders, private to the user.

    Raises:
        LedgerError: they can't be made or written.
    """
    try:
        for folder in (active_dir(spool_dir), sealed_dir(spool_dir), spool_dir / "drain"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise LedgerError(
            f"the spool folder {spool_dir} can't be written ({error.strerror}): usage could not be recorded, so "
            "nothing is sent; set spool_dir to a folder that this user can write"
        ) from error


class SpoolWriter:
    """Writes this process's usage records. Not thread-safe: it belongs to the thread of the event loop.

    Args:
        spool_dir: the spool folder.
        defer: runs a function soon, once the current work is done; outcomes are written then, several at a time.
        rotate_after_s: age at which a segment is sealed while requests go on.
    """

    def __init__(
        self, spool_dir: Path, defer: Callable[[Callable[[], None]], object], rotate_after_s: float = 2.0
    ) -> None:
        self._spool_dir = spool_dir
        self._defer = defer
        self._rotate_after_s = rotate_after_s
        self.writer = writer_name()
        self._folder = active_dir(spool_dir) / self.writer
        self._pending: dict[str, bytes] = {}
        self._outcomes: list[bytes] = []
        self._number = 0
        self._fd: int | None = None
        self._size = 0
        self._rows = 0
        self._opened_at = 0.0
        self._lock = self._take_lock()

    def intend(self, record: UsageRecord) -> None:
        """Writes the intent of one attempt. When this returns, the operating system has it.

        Raises:
            LedgerError: it could not be written; the request must not be sent.
        """
        line = encode(Kind.INTENT, record)
        self._write(line)
        assert record.client_metadata is not None
        self._pending[record.client_metadata.event_id] = line

    def settle(self, record: UsageRecord) -> None:
        """Takes the outcome of an intended attempt; written with others before the next intent, or soon."""
        assert record.client_metadata is not None
        if self._pending.pop(record.client_metadata.event_id, None) is None:
            raise RuntimeError("settled an attempt that was not intended")
        if not self._outcomes:
            self._defer(self._write_outcomes)
        self._outcomes.append(encode(Kind.OUTCOME, record))

    def rotate_if_due(self) -> None:
        """Seals the segment if it is old enough and has rows."""
        if self._fd is not None and self._rows and time.monotonic() - self._opened_at >= self._rotate_after_s:
            self.seal()

    def seal(self) -> None:
        """Hands what is complete to the drain; intents without an outcome move to the next segment.

        Raises:
            LedgerError: it could not be written.
        """
        self._write_outcomes()
        if self._fd is None or not self._rows:
            return
        fd, path, rows = self._fd, self._path(), self._rows
        self._fd = None
        self._number += 1
        if self._pending:
            self._open(b"".join(self._pending.values()))
        os.close(fd)
        try:
            path.rename(sealed_dir(self._spool_dir) / f"{self.writer}-{path.stem}.{rows}.log")
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Seals, and lets the lock go: what is still pending becomes unknown."""
        try:
            self.seal()
        finally:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            os.close(self._lock)

    def _take_lock(self) -> int:
        prepare(self._spool_dir)
        unseen = self._folder.with_name(f".{self.writer}")  # until it is locked: an adopter would take it for dead
        unseen.mkdir(mode=0o700)
        lock = os.open(unseen / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        unseen.rename(self._folder)
        return lock

    def _path(self) -> Path:
        return self._folder / f"{self._number:06d}.log"

    def _open(self, moved_along: bytes = b"") -> None:
        try:
            self._fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from error
        self._size = self._rows = 0
        self._opened_at = time.monotonic()
        self._append(header(self.writer) + moved_along)

    def _write(self, line: bytes) -> None:
        if self._fd is None:
            self._open()
        if self._outcomes:
            self._write_outcomes()
        self._append(line)

    def _write_outcomes(self) -> None:
        if not self._outcomes:
            return
        if self._fd is None:
            self._open()
        lines, self._outcomes = self._outcomes, []
        self._append(b"".join(lines))
        self._rows += len(lines)

    def _append(self, data: bytes) -> None:
        """Appends all of `data` or nothing."""
        assert self._fd is not None
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise self._failed(error) from error
        self._size += len(data)

    def _failed(self, error: OSError) -> LedgerError:
        return LedgerError(f"usage can't be recorded in {self._spool_dir}: {error.strerror}; nothing more is sent")
