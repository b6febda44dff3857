"""The connection to a Redis that hosts or applications share. The package `redis` is loaded by the first one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WITHIN_S = 2.0
_ALL_WITHIN_S = 5.0
_HEALTHY_FOR_S = 30


class RedisError(Exception):
    """Redis can't be reached, or refused a command. Its text shows no password."""


def connect(url: str) -> Redis:
    """A client of a Redis, on the running event loop; it connects when it is first asked.

    Connecting and each answer have 2 s and are tried once more; `asking_redis` bounds them all. Close it with `aclose`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        ConfigError: the package is missing, or the URL is wrong. Doesn't show the URL.
    """
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigError(
            "coordination: Redis needs the package redis: pip install 'gateway-batch[redis]', on the workers too"
        ) from None
    try:
        return Redis.from_url(
            url,
            socket_connect_timeout=_WITHIN_S,
            socket_timeout=_WITHIN_S,
            health_check_interval=_HEALTHY_FOR_S,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError:
        raise ConfigError("coordination: is no URL of a Redis, such as redis://host:6379/0") from None


@contextlib.asynccontextmanager
async def asking_redis() -> AsyncIterator[None]:
    """Bounds the time of what is asked inside, and maps what the package and the network raise to `RedisError`."""
    import redis

    try:
        async with asyncio.timeout(_ALL_WITHIN_S):
            yield
    except (redis.RedisError, OSError) as error:  # TimeoutError is one
        raise RedisError(f"Redis does not answer as it should: {type(error).__name__} {error}".rstrip()) from error
