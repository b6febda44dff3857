"""Where a lease state is kept: in memory, in a file of the host, behind a driver's HTTP service, or in Redis."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from gateway_batch.admission.lease_client import LeaseStoreRefusedError, LeaseStoreUnreachableError
from gateway_batch.admission.lease_json import LeaseFormError, lease_of, state_of
from gateway_batch.admission.leases import Lease, LeaseRequest, LeaseState, exchange
from gateway_batch.errors import CallError
from gateway_batch.local_files.locks import locked
from gateway_batch.local_files.private import make_private, open_private
from gateway_batch.transport import redis_connection
from gateway_batch.transport.redis_connection import RedisError, RedisRefusedError
from gateway_batch.types import HttpReply, HttpRequest

if TYPE_CHECKING:
    from redis.asyncio import Redis

_BUSY_TIMEOUT_S = 2.0
_ANSWER_WITHIN_S = 2.0
_KEPT_S = 7 * 86_400
_PASSES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class MemoryLeaseStore:
    """Lease states by name, for the threads of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._states: dict[str, LeaseState] = {}

    def exchange(self, name: str, request: LeaseRequest) -> Lease:
        """Answers one request."""
        with self._lock:
            return exchange(self._states.setdefault(name, LeaseState()), request, self._clock())


class HostLeaseStore:
    """A lease state in a SQLite file, for the processes of one host. Make it after any fork.

    The file is opened by the first exchange, and used by a thread of its own: it may be locked, or slow. After a
    failure it is opened anew.

    Args:
        path: of the file; made with mode 0600 if missing.
        clock: monotonic seconds that all processes of the host read alike.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._opening = path.with_name(path.name + ".lock")
        self._database: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gateway_batch_limits")

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Answers one request.

        Raises:
            LeaseStoreUnreachableError: the file can't be read or written now.
            LeaseStoreRefusedError: it is none of this version's.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._exchange, request)

    async def close(self) -> None:
        """Lets the file go."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        finally:
            self._thread.shutdown(wait=False)

    def _exchange(self, request: LeaseRequest) -> Lease:
        try:
            database = self._database = self._database or self._open()
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT state FROM lease_state WHERE name = 'limits'").fetchone()
            state = state_of(row and row[0])
            lease = exchange(state, request, self._clock())
            database.execute("INSERT OR REPLACE INTO lease_state VALUES ('limits', ?)", (state.as_json(),))
            database.execute("COMMIT")
        except LeaseFormError as error:
            self._close()
            raise LeaseStoreRefusedError(f"the state in {self._path} is not one of this version: {error}") from None
        except (sqlite3.Error, OSError) as error:
            self._close()
            passes = isinstance(error, BlockingIOError) or getattr(error, "sqlite_errorcode", 0) in _PASSES
            kind = LeaseStoreUnreachableError if passes else LeaseStoreRefusedError
            raise kind(f"their file can't be used: {self._path}: {error}") from None
        except BaseException:
            self._close()
            raise
        return lease

    def _open(self) -> sqlite3.Connection:
        make_private(self._path.parent)
        os.close(open_private(self._path))
        # SQLite doesn't wait for a file whose journal mode another process sets.
        with locked(self._opening, within_s=_BUSY_TIMEOUT_S):
            database = sqlite3.connect(
                self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                database.execute("PRAGMA synchronous = OFF")
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("CREATE TABLE IF NOT EXISTS lease_state (name TEXT PRIMARY KEY, state BLOB NOT NULL)")
            except BaseException:
                database.close()
                raise
        return database

    def _close(self) -> None:
        """Closes the file, and undoes what was begun."""
        if self._database is None:
            return
        database, self._database = self._database, None
        with contextlib.suppress(sqlite3.Error):
            try:
                with locked(self._opening, within_s=_BUSY_TIMEOUT_S):  # nor for one that the last process closes
                    database.close()
            except OSError:  # the scope's folder is gone, or another has the lock for too long
                database.close()


class DriverLeaseStore:
    """A lease state that the driver keeps (`gateway_batch.admission.lease_server`).

    Args:
        url: of the driver's service.
        name: of the state.
        token: what the service wants to be presented.
        send: sends a request; raises CallError.
    """

    def __init__(
        self, url: str, name: str, token: str, send: Callable[[HttpRequest, float], Awaitable[HttpReply]]
    ) -> None:
        self._url = f"{url}/{name}"
        self._headers = {"authorization": f"Bearer {token}"}
        self._send = send

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Answers one request.

        Raises:
            LeaseStoreUnreachableError: the driver doesn't answer.
            LeaseStoreRefusedError: it refuses, or answers something else.
        """
        try:
            post = HttpRequest(self._url, orjson.dumps(request), self._headers)
            reply = await self._send(post, _ANSWER_WITHIN_S)
        except CallError as error:
            raise LeaseStoreUnreachableError(f"the driver doesn't answer: {error}") from None
        if reply.status != 200:
            kind = LeaseStoreUnreachableError if reply.status >= 500 else LeaseStoreRefusedError
            raise kind(f"the driver answered {reply.status}")
        try:
            return lease_of(reply.body)
        except LeaseFormError as error:
            raise LeaseStoreRefusedError(f"the driver's answer is no lease: {error}") from None

    async def close(self) -> None:
        """Nothing to close."""


class RedisLeaseStore:
    """A lease state in Redis, for applications on any hosts. It is gone after a week of disuse.

    Args:
        redis: a connection.
        key: of the state.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Answers one request.

        Raises:
            LeaseStoreUnreachableError: Redis can't be reached.
            LeaseStoreRefusedError: it refuses, or its value is none of this version's; it is left as it is.
        """
        lease: Lease | None = None

        def change(kept: bytes | None, now: float) -> bytes:
            nonlocal lease
            try:
                state = state_of(kept)
            except LeaseFormError as error:
                raise RedisRefusedError(
                    f"Redis: the value {self._key} is no state of this version ({error}) and is left as it is: "
                    "delete it, or set another coordination_name"
                ) from None
            lease = exchange(state, request, now)
            return state.as_json()

        try:
            await redis_connection.update(self._redis, self._key, change, kept_s=_KEPT_S)
        except RedisRefusedError as error:
            raise LeaseStoreRefusedError(str(error)) from None
        except RedisError as error:
            raise LeaseStoreUnreachableError(str(error)) from None
        assert lease is not None
        return lease

    async def close(self) -> None:
        """Closes the connection."""
        await redis_connection.close(self._redis)
