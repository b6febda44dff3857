"""Where a lease state is kept: in memory, in a file of the host, behind a driver's HTTP service, or in Redis."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from gateway_batch.admission.lease_client import LeaseStoreUnreachableError
from gateway_batch.admission.leases import Lease, LeaseRequest, LeaseState, exchange, lease_of
from gateway_batch.errors import CallError
from gateway_batch.local_files.locks import locked
from gateway_batch.local_files.private import make_private, open_private
from gateway_batch.transport.redis_connection import RedisError, update
from gateway_batch.types import HttpReply, HttpRequest

if TYPE_CHECKING:
    from redis.asyncio import Redis

_BUSY_TIMEOUT_S = 2.0
_ANSWER_WITHIN_S = 2.0
_KEPT_S = 7 * 86_400


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

    Args:
        path: of the file; made with mode 0600 if missing.
        clock: monotonic seconds that all processes of the host read alike.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        make_private(path.parent)
        os.close(open_private(path))
        self._opening = path.with_name(path.name + ".lock")
        with locked(self._opening):  # SQLite doesn't wait for a file whose journal mode another process sets
            self._database = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS lease_state (name TEXT PRIMARY KEY, state BLOB NOT NULL)"
            )

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Answers one request.

        Raises:
            LeaseStoreUnreachableError: the file can't be read or written.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                row = self._database.execute("SELECT state FROM lease_state").fetchone()
                state = LeaseState.of_json(row and row[0])
                lease = exchange(state, request, self._clock())
                self._database.execute("INSERT OR REPLACE INTO lease_state VALUES ('limits', ?)", (state.as_json(),))
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise LeaseStoreUnreachableError(f"their file can't be used: {error}") from None
        return lease

    async def close(self) -> None:
        """Lets the file go."""
        try:
            with locked(self._opening):  # nor for one that the last process closes
                self._database.close()
        except FileNotFoundError:  # the scope's folder is gone
            self._database.close()


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
            LeaseStoreUnreachableError: the driver doesn't answer, or refuses.
        """
        try:
            post = HttpRequest(self._url, orjson.dumps(request), self._headers)
            reply = await self._send(post, _ANSWER_WITHIN_S)
        except CallError as error:
            raise LeaseStoreUnreachableError(f"the driver doesn't answer: {error}") from None
        if reply.status != 200:
            raise LeaseStoreUnreachableError(f"the driver answered {reply.status}")
        return lease_of(orjson.loads(reply.body))

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
            LeaseStoreUnreachableError: Redis can't be reached or used.
        """
        lease: Lease | None = None

        def change(kept: bytes | None, now: float) -> bytes:
            nonlocal lease
            state = LeaseState.of_json(kept)
            lease = exchange(state, request, now)
            return state.as_json()

        try:
            await update(self._redis, self._key, change, kept_s=_KEPT_S)
        except RedisError as error:
            raise LeaseStoreUnreachableError(str(error)) from None
        assert lease is not None
        return lease

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()
