"""Answers and claims of one scope, shared by a host's processes: a SQLite file, and a lock that tells who lives.

A claim says that its owner is at work on a request. An owner is a locked byte of a file, which the kernel lets go with
the process: the claims of one that died can be taken over at once, and no lease has to time out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.locks import ByteLocks

_BUSY_TIMEOUT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, owner INTEGER NOT NULL, answer BLOB) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a claim.

    Attributes:
        mine: the caller has to answer the request, and to keep or release it.
        answer: as it was kept; None where another is at work on it, or it is the caller's.
    """

    mine: bool
    answer: bytes | None = None


_MINE, _HELD = Claim(mine=True), Claim(mine=False)


class AnswerStore:
    """This process's view of a scope's answers. Belongs to one thread; make it after any fork.

    Args:
        folder: of the scope; made if missing, private to the user. One store of a folder in a process.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._owners = ByteLocks(folder / "owners")
        self._me = self._owners.lock_any()
        path = folder / "answers.sqlite"
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", _SCHEMA):
            self._database.execute(statement)
        with self._transaction():  # what an owner of the same byte left when it died
            self._database.execute("DELETE FROM answers WHERE owner = ? AND answer IS NULL", (self._me,))

    def claim(self, keys: Iterable[bytes]) -> dict[bytes, Claim]:
        """Claims requests that nobody is at work on; says of the others how they stand."""
        with self._transaction():
            return {key: self._claim(key) for key in keys}

    def keep(self, answers: Sequence[tuple[bytes, bytes]]) -> None:
        """Keeps the answers of claimed requests, for all that ask until the scope ends."""
        with self._transaction():
            self._database.executemany(
                "UPDATE answers SET answer = ? WHERE key = ?", [(answer, key) for key, answer in answers]
            )

    def release(self, keys: Sequence[bytes]) -> None:
        """Gives claims up: the requests have no answer that others could use."""
        with self._transaction():
            self._database.executemany(
                "DELETE FROM answers WHERE key = ? AND owner = ? AND answer IS NULL", [(key, self._me) for key in keys]
            )

    def close(self) -> None:
        """Gives all claims up, and lets the file go."""
        self._database.close()
        self._owners.close()

    def _claim(self, key: bytes) -> Claim:
        execute = self._database.execute
        if execute("INSERT OR IGNORE INTO answers VALUES (?, ?, NULL)", (key, self._me)).rowcount:
            return _MINE
        owner, answer = execute("SELECT owner, answer FROM answers WHERE key = ?", (key,)).fetchone()
        if answer is not None:
            return Claim(mine=False, answer=answer)
        if owner != self._me and self._owners.is_locked(owner):
            return _HELD
        execute("UPDATE answers SET owner = ? WHERE key = ?", (self._me, key))
        return _MINE

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
