"""The write side of the spool: one writer a process, intent before the bytes leave, outcome after.

Layout of a spool folder:
    active/<writer>/             locked while its process lives, as is the file `lock` in it
    active/<writer>/<n>.log      segments being written
    sealed/<name>                complete segments, for the drain; `names` has what their names say
    drain/                       the drain's own state
    damaged/                     drained segments of which a line was damaged
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.local_files.machine import boot_id, machine_id
from gateway_batch.local_files.preallocation import preallocate
from gateway_batch.local_files.private import make_private, open_private
from gateway_batch.usage.record import UsageRecord
from gateway_batch.usage.segment import Kind, Origin, encode, header
from gateway_batch.usage.segment_names import SegmentName, writer_name
from gateway_batch.usage.spool_folders import active_dir, prepare, sealed_dir, sealed_segments, segment_path
from gateway_batch.usage.writer_locks import WriterLocks

__all__ = ["SpoolWriter", "active_dir", "prepare", "sealed_dir", "sealed_segments", "writer_name"]

_MORE_IN_AN_OUTCOME = 8 << 10  # bytes beyond those of its intent, at most
_PREALLOCATED = 256 << 10


class _Segment:
    """One file of lines, appended to whole or not at all."""

    def __init__(self, path: Path, first: bytes) -> None:
        self.path = path
        self.rows = 0
        self.has_notes = False
        self.size = 0
        self.opened_at = time.monotonic()
        self._set_aside = 0
        self._can_preallocate = True
        self._fd = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        try:
            self.append(first)
        except OSError:
            self.discard()
            raise

    def make_room(self, size: int) -> None:
        """Reserves more bytes, where the file system can; raises OSError if the disk is full."""
        if self.size + size > self._set_aside and self._can_preallocate:
            self._can_preallocate = preallocate(self._fd, self.size, size + _PREALLOCATED)
            self._set_aside = self.size + size + _PREALLOCATED

    def append(self, data: bytes, rows: int = 0) -> None:
        """Appends all of `data`, or raises OSError and nothing is appended."""
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            os.ftruncate(self._fd, self.size)
            self._set_aside = 0
            raise
        self.size += len(data)
        self.rows += rows

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.size)  # gives back what was set aside
        os.close(self._fd)

    def discard(self) -> None:
        self.close()
        self.path.unlink()


class SpoolWriter:
    """Writes this process's usage records. Not thread-safe: it belongs to the thread of the event loop.

    Args:
        spool_dir: the spool folder.
        defer: runs a function soon, once the current work is done; outcomes are written then, several at a time.
        rotate_after_s: age at which a segment is sealed while requests continue.
        rotate_after_bytes: likewise its size.
        table: the usage table that the records are for; None: that of whoever drains them.

    Raises:
        LedgerError: the spool folder can't be written, or another user made it.
    """

    def __init__(
        self,
        spool_dir: Path,
        defer: Callable[[Callable[[], None]], object],
        rotate_after_s: float = 2.0,
        rotate_after_bytes: int = 16 << 20,
        table: str | None = None,
    ) -> None:
        self._spool_dir = spool_dir
        self._defer = defer
        self._rotate_after_s = rotate_after_s
        self._rotate_after_bytes = rotate_after_bytes
        self.writer = writer_name(table)
        self._folder = active_dir(spool_dir) / self.writer
        self._pending: dict[str, bytes] = {}
        self._owed = 0  # bytes that the pending intents' outcomes may take
        self._outcomes: list[bytes] = []
        self._opened = 0
        self._segment: _Segment | None = None
        self._locks = self._take_locks()
        self._origin = Origin(table, boot_id(), machine_id(), self._locks.of_folder)

    def intend(self, record: UsageRecord) -> None:
        """Writes the intent of one attempt. When this returns, the operating system has it.

        Raises:
            LedgerError: it could not be written; the request must not be sent.
        """
        line = encode(Kind.INTENT, record)
        lines, owed = b"".join((*self._outcomes, line)), self._owed + len(line) + _MORE_IN_AN_OUTCOME
        try:
            segment = self._current()
            segment.make_room(len(lines) + owed)
            segment.append(lines, rows=len(self._outcomes))
        except OSError as error:
            raise self._failure(error) from error
        self._outcomes.clear()
        assert record.client_metadata is not None
        self._pending[record.client_metadata.event_id], self._owed = line, owed

    def settle(self, record: UsageRecord) -> None:
        """Takes the outcome of an intended attempt; written with others before the next intent, or soon."""
        assert record.client_metadata is not None
        intent = self._pending.pop(record.client_metadata.event_id, None)
        if intent is None:
            raise RuntimeError("settled an attempt that was not intended")
        self._owed -= len(intent) + _MORE_IN_AN_OUTCOME
        if not self._outcomes:
            self._defer(self._write_deferred)
        self._outcomes.append(encode(Kind.OUTCOME, record))

    def note(self, line: bytes) -> None:
        """Writes a line that is about no attempt, such as a task's summary; the segment is sealed for its sake too.

        Raises:
            LedgerError: it could not be written.
        """
        with self._failures():
            segment = self._current()
            segment.make_room(len(line) + self._owed)
            segment.append(line)
            segment.has_notes = True

    def rotate_if_due(self) -> None:
        """Seals the segment if it is old or large enough and has rows.

        Raises:
            LedgerError: it could not be written. Nothing is lost; the next try may succeed.
        """
        segment = self._segment
        if segment and segment.rows:
            old = time.monotonic() - segment.opened_at >= self._rotate_after_s
            if old or segment.size >= self._rotate_after_bytes:
                self.seal()

    def seal(self) -> None:
        """Hands what is complete to the drain; intents without an outcome move to the next segment.

        Raises:
            LedgerError: it could not be written. Nothing is lost; the next try may succeed.
        """
        with self._failures():
            self._write_outcomes()
            complete = self._segment
            if complete is None or not (complete.rows or complete.has_notes):
                return
            following = self._open() if self._pending else None
            try:
                name = SegmentName(self.writer, complete.path.stem, complete.rows, complete.size)
                complete.path.rename(sealed_dir(self._spool_dir) / str(name))
            except OSError:
                if following is not None:
                    following.discard()
                raise
            complete.close()
            self._segment = following

    def close(self) -> None:
        """Seals, and lets the lock go: what is still pending becomes unknown."""
        try:
            self.seal()
        finally:
            if self._segment is not None:
                self._segment.close()
                self._segment = None
            self._locks.release()

    def _take_locks(self) -> WriterLocks:
        prepare(self._spool_dir)
        with self._failures():
            unseen = self._folder.with_name(f".{self.writer}")  # until it is locked: a recovery would take it for dead
            make_private(unseen)
            locks = WriterLocks.make(unseen)
            unseen.rename(self._folder)
        return locks

    def _current(self) -> _Segment:
        if self._segment is None:
            self._segment = self._open()
        return self._segment

    def _open(self) -> _Segment:
        """The next segment, pending intents in it."""
        first = header(self.writer, self._origin) + b"".join(self._pending.values())
        segment = _Segment(segment_path(self._spool_dir, self.writer, self._opened), first)
        try:
            segment.make_room(self._owed)
        except OSError:
            segment.discard()
            raise
        self._opened += 1
        return segment

    def _write_outcomes(self) -> None:
        if self._outcomes:
            self._current().append(b"".join(self._outcomes), rows=len(self._outcomes))
            self._outcomes.clear()

    def _write_deferred(self) -> None:
        with contextlib.suppress(OSError):  # they are kept, and the next intent fails with this
            self._write_outcomes()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> LedgerError:
        return LedgerError(f"usage can't be recorded in {self._spool_dir}: {error.strerror}; nothing more is sent")
