"""The connection to a Redis that hosts or applications share. The package `redis` is loaded by the first one."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WITHIN_S = 2.0
_ALL_WITHIN_S = 5.0
_HEALTHY_FOR_S = 30
_TRIES = 50
_MOST_LETTERS = 200
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.1


class RedisError(Exception):
    """Redis can't be reached, or refused a command. Its text shows no password, and nothing of what was sent."""


class RedisRefusedError(RedisError):
    """Redis was reached, and does not do what it is asked: waiting alone won't help."""


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
    """Bounds the time of what is asked inside, and maps what goes wrong there to `RedisError`.

    Answers that are not Redis' make the package raise all kinds of errors.
    """
    from redis import exceptions

    out_of_reach = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.TryAgainError, OSError)
    refused = (exceptions.AuthenticationError, exceptions.AuthorizationError)
    try:
        async with asyncio.timeout(_ALL_WITHIN_S):
            yield
    except RedisError:
        raise
    except refused as error:
        raise RedisRefusedError(_said(error)) from None
    except out_of_reach as error:  # TimeoutError is one
        raise RedisError(_said(error)) from None
    except exceptions.RedisError as error:
        raise RedisRefusedError(_said(error)) from None
    except Exception as error:
        raise RedisRefusedError(f"what answers as Redis is none: {type(error).__name__}") from None


async def close(redis: Redis) -> None:
    """Lets a connection go, in whatever state it is."""
    with contextlib.suppress(RedisError):
        async with asking_redis():
            await redis.aclose()


def raise_first(replies: Sequence[Any]) -> None:
    """Raises the first error among a pipeline's replies, with the text of Redis alone.

    The package's own way to raise it shows the command with what it sent: answers, and keys of prompts.
    """
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply


def _said(error: Exception) -> str:
    """What Redis or the package says, short and printable, without the command that the package adds in a pipeline."""
    _, of_pipeline, text = str(error).rpartition("of pipeline caused error: ")
    if of_pipeline:
        text = text.removeprefix("(").removesuffix(",)").strip("\"'")
    text = text.partition(", with args beginning with")[0]
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f"Redis does not answer as it should: {type(error).__name__} {text[:_MOST_LETTERS]}".rstrip()


async def update(redis: Redis, key: str, change: Callable[[bytes | None, float], bytes], *, kept_s: int) -> None:
    """Replaces a value by what is made of it, with no other change in between.

    Args:
        redis: the connection.
        key: of the value.
        change: from the value, None if there is none, and the server's time in seconds to the new value; may be called
            again, with a later value. What it raises as RedisError is raised, and the value left as it is.
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
                if not isinstance(kept, bytes | None):
                    raise RedisRefusedError(
                        f"what answers as Redis is none: it gave a {type(kept).__name__} for a value"
                    )
                changed = change(kept, seconds + microseconds / 1e6)
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(key, changed, ex=kept_s)
                with contextlib.suppress(WatchError):  # another was faster
                    await pipe.execute()
                    return
    raise RedisError(f"others changed a value {_TRIES} times in the middle")
