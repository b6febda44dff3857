"""The connection to a Redis that hosts or applications share. The package `redis` is loaded by the first one."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WITHIN_S = 2.0
_ALL_WITHIN_S = 5.0
_HEALTHY_FOR_S = 30
_TRIES = 50
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.1


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


async def update(redis: Redis, key: str, change: Callable[[bytes | None, float], bytes], *, kept_s: int) -> None:
    """Replaces a value by what is made of it, with no other change in between.

    Args:
        redis: the connection.
        key: of the value.
        change: from the value, None if there is none, and the server's time in seconds to the new value; may be called
            again, with a later value.
        kept_s: seconds after which the value goes, if nobody updates it.

    Raises:
        RedisError: Redis can't be used.
    """
    from redis.exceptions import WatchError

    async with asking_redis():
        for number in range(_TRIES):
            if number:  # apart by chance, or those who meet once meet again
                await asyncio.sleep(random.random() * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**number))
            async with redis.pipeline() as pipe:
                await pipe.watch(key)
                seconds, microseconds = await pipe.time()
                kept = await pipe.get(key)
                assert not isinstance(kept, str)  # of a client that decodes nothing
                changed = change(kept, seconds + microseconds / 1e6)
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(key, changed, ex=kept_s)
                with contextlib.suppress(WatchError):  # another was faster
                    await pipe.execute()
                    return
    raise RedisError(f"others changed a value {_TRIES} times in the middle")
