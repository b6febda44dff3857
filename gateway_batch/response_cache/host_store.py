"""A scope's answers on a host, shared by its processes: a SQLite file, and a lock that shows who lives.

A claim says that its owner is at work on a request. An owner is a locked byte of a file, which the kernel lets go with
the process: the claims of one that died can be taken over at once, and no lease has to time out. Claims have a table of
their own: it stays small, so that most of what a transaction writes are answers.

What may have to wait is done by a thread of its own: opening the file, and a transaction while another process writes.
Others are done on the loop, as a thread's turns would cost more than they take. After any failure the file is closed,
its claims given up, and opened anew by the next exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway_batch.local_files.locks import MOST_OWNERS, ByteLocks, locked
from gateway_batch.local_files.private import make_private, open_private
from gateway_batch.response_cache.store import AnswerScope, Claim, Found, Outbox, StoreError

_BUSY_TIMEOUT_S = 2.0
_MOST_VALUES = 500
_CHECKPOINT_PAGES = 4_000
_LOOK_AT_SIZE_EVERY = 50
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL, failed_in TEXT)",
    "CREATE TABLE IF NOT EXISTS claims (key BLOB PRIMARY KEY, owner INTEGER NOT NULL) WITHOUT ROWID",
)

_log = logging.getLogger(__name__)


class HostAnswerStore:
    """Answers in the scope's folder, opened by the first exchange. One store of a folder in a process.

    Args:
        scope: its folder is made if missing, private to the user.
        quota_bytes: of the file; past it new answers are not kept.
    """

    def __init__(self, scope: AnswerScope, quota_bytes: int) -> None:
        self._query = scope.query
        self._quota_bytes = quota_bytes
        self._until_look = 0
        self._full = False
        self._folder = scope.folder
        self._file: _File | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: Future[Any] | None = None

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """See `AnswerStore.exchange`."""
        if self._file is not None and (self._waiting is None or self._waiting.done()):
            with contextlib.suppress(_LockedError):
                return self._exchange(outbox, wanted, waits=False)
        thread = self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="gateway_batch_answers")
        self._waiting = thread.submit(self._exchange, outbox, wanted, waits=True)
        try:
            return await asyncio.wrap_future(self._waiting)
        except asyncio.CancelledError:  # it may still be done, and nobody hears what it claims
            self._waiting = thread.submit(self._close)
            raise

    async def close(self) -> None:
        """See `AnswerStore.close`."""
        if self._file is None and self._thread is None:
            return
        thread, self._thread = self._thread or ThreadPoolExecutor(1), None
        try:
            await asyncio.wrap_future(thread.submit(self._close))
        finally:
            thread.shutdown(wait=False)

    def _exchange(self, outbox: Outbox, wanted: Sequence[bytes], *, waits: bool) -> Sequence[Found]:
        try:
            file = self._file = self._file or _File(self._folder)
            if self._is_full(file, outbox):
                outbox = outbox.without_answers()
            with file.transaction(waits=waits):
                file.write(outbox, self._query)
                return file.claim(wanted, self._query)
        except (sqlite3.Error, OSError) as error:
            if not waits and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise _LockedError from None
            self._close()
            raise StoreError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(sqlite3.Error, OSError):
                file.close()

    def _is_full(self, file: _File, outbox: Outbox) -> bool:
        if not self._full and outbox.answers:
            self._until_look -= 1
            if self._until_look < 0:
                self._until_look = _LOOK_AT_SIZE_EVERY
                self._full = file.size() > self._quota_bytes
                if self._full:
                    warn_of_quota(_log, self._quota_bytes)
        return self._full


class _LockedError(Exception):
    """Another process writes just now."""


class _File:
    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self._path = folder / "answers.sqlite"
        os.close(open_private(self._path))
        self._opening = folder / "opening"
        self._owners: ByteLocks | None = None
        # SQLite doesn't wait for a file whose journal mode another process sets.
        with locked(self._opening, within_s=_BUSY_TIMEOUT_S):
            self._open(folder)

    def _open(self, folder: Path) -> None:
        self._database = sqlite3.connect(
            self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode = WAL", "synchronous = OFF", f"wal_autocheckpoint = {_CHECKPOINT_PAGES}"):
                self._database.execute(f"PRAGMA {pragma}")
            for statement in _SCHEMA:
                self._database.execute(statement)
            self._owners = ByteLocks(folder / "owners")
            self._me = self._owners.lock_any()
            self._give_up_all()  # what an owner of the same byte left when it died
            self._wait_for_locks(0.0)
        except BaseException:
            self._database.close()
            if self._owners is not None:
                self._owners.close()
            raise

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._give_up_all()
        assert self._owners is not None
        self._owners.close()  # what could not be given up is free with it
        try:
            with locked(self._opening, within_s=_BUSY_TIMEOUT_S):  # nor for one that the last process closes
                self._database.close()
        except OSError:  # the scope has ended, and its folder is gone, or the lock is another's for too long
            self._database.close()

    def _give_up_all(self) -> None:
        self._database.execute("DELETE FROM claims WHERE owner = ?", (self._me,))

    def size(self) -> int:
        wal = self._path.with_name(self._path.name + "-wal")
        return self._path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)

    @contextlib.contextmanager
    def transaction(self, *, waits: bool) -> Iterator[None]:
        if waits:
            self._wait_for_locks(_BUSY_TIMEOUT_S)
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        if waits:
            self._wait_for_locks(0.0)

    def _wait_for_locks(self, seconds: float) -> None:
        self._database.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    def write(self, outbox: Outbox, query: str) -> None:
        kept: list[tuple[bytes, bytes, str | None]] = [(key, answer, None) for key, answer in outbox.answers]
        kept += [(key, answer, query) for key, answer in outbox.failures]
        if kept:
            self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", kept)
        for keys in _parts([*outbox.released, *(key for key, *_ in kept)]):
            statement = f"DELETE FROM claims WHERE key IN ({_places('?', keys)}) AND owner = ?"
            self._database.execute(statement, (*keys, self._me))

    def claim(self, keys: Sequence[bytes], query: str) -> list[Found]:
        found: dict[bytes, Found] = {}
        for part in _parts(keys):
            found |= self._answers(part, query)
        if open_keys := [key for key in keys if key not in found]:
            held = self._held()
            found |= {key: Claim.HELD if key in held else Claim.MINE for key in open_keys}
            for part in _parts([key for key in open_keys if key not in held]):
                values = _places(f"(?, {self._me})", part)
                self._database.execute(f"INSERT OR REPLACE INTO claims VALUES {values}", part)
        return [found[key] for key in keys]

    def _answers(self, keys: Sequence[bytes], query: str) -> dict[bytes, bytes]:
        places = _places("?", keys)
        answer = "CASE typeof(answer) WHEN 'blob' THEN answer ELSE x'' END"  # one of another type is no answer of ours
        statement = f"SELECT key, {answer} FROM answers WHERE key IN ({places}) AND coalesce(failed_in = ?, TRUE)"
        return dict(self._database.execute(statement, (*keys, query)))

    def _held(self) -> set[bytes]:
        """What living processes are at work on: as many rows as they work on at once."""
        assert self._owners is not None
        form = f"typeof(key) = 'blob' AND typeof(owner) = 'integer' AND owner BETWEEN 0 AND {MOST_OWNERS - 1}"
        statement = f"SELECT key, owner FROM claims WHERE owner <> ? AND {form}"
        claims = self._database.execute(statement, (self._me,)).fetchall()
        living = {owner for owner in {owner for _, owner in claims} if self._owners.is_locked(owner)}
        return {key for key, owner in claims if owner in living}


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """As many at once as a statement takes."""
    return (keys[start : start + _MOST_VALUES] for start in range(0, len(keys), _MOST_VALUES))


def _places(place: str, keys: Sequence[bytes]) -> str:
    return ",".join([place] * len(keys))


def warn_of_quota(log: logging.Logger, quota_bytes: int) -> None:
    """Says that answers are no longer kept."""
    log.warning(
        "new answers are not kept, as those of this query or run have %d MB: identical requests may be sent again. "
        "Raise cache_quota_mb (GATEWAY_BATCH_CACHE_QUOTA_MB) to keep more",
        quota_bytes >> 20,
    )
