"""Per-process response cache: chooses a store for the current scope, counts hits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from gateway_batch.admission.coordination import CoordinationConfig
from gateway_batch.config import Credentials, GatewayConfig, is_redis, redis_url
from gateway_batch.errors import ConfigError
from gateway_batch.local_files.lifetimes import HeldFolder
from gateway_batch.local_files.private import NotPrivateError, own_temporary_folder
from gateway_batch.response_cache import (
    AnswerScope,
    AnswerStore,
    FallbackStore,
    HostAnswerStore,
    PausingStore,
    RedisAnswerStore,
    SingleFlight,
)
from gateway_batch.response_cache.savings import (
    Counts,
    add_savings,
    add_shared_savings,
    read_savings,
    read_shared_savings,
    savings_key,
    sum_savings,
)
from gateway_batch.transport import redis_connection

if TYPE_CHECKING:
    from redis.asyncio import Redis

_STORE_HAS_S, _STORE_WITHIN_S = 1.0, 5.0


class ResponseCache:
    """Opens scopes one after another. Belongs to one event loop.

    Args:
        coordination: which processes share answers.
        quota_bytes: of a scope's answers.
        credentials: resolve the URL of a Redis.
        clock: monotonic seconds, the loop's own.
        row_deadline_s: how long a row waits at most, for identical requests of other rows too.
    """

    def __init__(
        self,
        coordination: CoordinationConfig,
        quota_bytes: int,
        credentials: Credentials,
        clock: Callable[[], float],
        row_deadline_s: float,
    ) -> None:
        self._coordination = coordination
        self._quota_bytes = quota_bytes
        self._credentials = credentials
        self._clock = clock
        self._row_deadline_s = row_deadline_s
        self._single_flight: SingleFlight | None = None
        self._scope: AnswerScope | None = None
        self._redis: Redis | None = None

    async def open(self, scope: AnswerScope) -> SingleFlight:
        """The answers of a scope; those of the scope before are let go.

        Raises:
            ConfigError: answers are shared by a Redis whose URL or package is missing.
        """
        if self._single_flight is None or self._scope != scope:
            await self._close_single_flight()
            self._single_flight = SingleFlight(
                self._store(scope), keep_failures=bool(scope.query), row_deadline_s=self._row_deadline_s
            )
            self._scope = scope
        return self._single_flight

    async def flush(self) -> None:
        """Hands answers and counts over."""
        if self._single_flight is None or self._scope is None:
            return
        await self._single_flight.flush()
        counts = Counts(*self._single_flight.take_counts())
        if any(counts) and self._scope.execution_id:
            await self._count(self._scope, counts)

    async def close(self) -> None:
        """Hands everything over, and closes stores and connection."""
        await self._close_single_flight()
        if self._redis is not None:
            await redis_connection.close(self._redis)

    async def _close_single_flight(self) -> None:
        if self._single_flight is not None:
            await self.flush()
            await self._single_flight.close()
            self._single_flight = None

    def _store(self, scope: AnswerScope) -> AnswerStore:
        host = HostAnswerStore(scope, self._quota_bytes)
        within_s = min(_STORE_WITHIN_S, max(_STORE_HAS_S, self._row_deadline_s / 4))
        if not is_redis(self._coordination.backend):
            return PausingStore(host, self._clock, within_s)
        if self._redis is None:
            self._redis = redis_connection.connect(redis_url(self._coordination.backend, self._credentials))
        name = self._coordination.name
        shared = RedisAnswerStore(self._redis, scope, coordination_name=name, quota_bytes=self._quota_bytes)
        return FallbackStore(shared, host, self._clock, within_s)

    async def _count(self, scope: AnswerScope, counts: Counts) -> None:
        """Where several hosts share answers their counts are in Redis, too, and else each host's in its own file."""
        if self._redis is not None:
            key = savings_key(self._coordination.name, scope.application_id)
            with contextlib.suppress(redis_connection.RedisError):
                return await add_shared_savings(self._redis, key, scope.execution_id, counts)
        with contextlib.suppress(OSError):
            add_savings(savings_file(scope.application_id), scope.execution_id, counts)


def shared_dir(scope: str) -> Path:
    """What the processes of a scope share on this host, private to the user; it may be missing.

    Raises:
        ConfigError: it, or a folder above it, is another user's, who could read answers there and leave some.
    """
    try:
        return own_temporary_folder(*Path(scope).parts)
    except NotPrivateError as error:
        raise ConfigError(str(error)) from None


def hold(folder: Path) -> HeldFolder:
    """Makes a `shared_dir`, which is removed when this process releases it or ends.

    Raises:
        ConfigError: it can't be made, or is another user's.
    """
    try:
        return HeldFolder(folder)
    except NotPrivateError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(
            f"{folder} can't be made ({error.strerror}): set TMPDIR to a folder that this user can write"
        ) from error


def savings_file(application_id: str) -> Path:
    """Where an application's processes on this host count what the cache saved."""
    return shared_dir(application_id) / "savings" / "counts"


def savings_of(config: GatewayConfig, application_id: str) -> dict[str, Counts]:
    """What the cache saved in an application's queries, by execution id: on this host and in its Redis.

    Raises:
        ConfigError: the Redis can't be asked.
    """
    here = read_savings(savings_file(application_id))
    coordination = config.coordination_reference()
    if not is_redis(coordination):
        return here
    url = redis_url(coordination, config.credentials())

    async def read() -> dict[str, Counts]:
        redis = redis_connection.connect(url)
        try:
            return await read_shared_savings(redis, savings_key(config.coordination_name, application_id))
        finally:
            await redis_connection.close(redis)

    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a running loop
        try:
            shared = thread.submit(asyncio.run, read()).result()
        except redis_connection.RedisError as error:
            raise ConfigError(f"coordination: {error}") from error
    return sum_savings([*here.items(), *shared.items()])
