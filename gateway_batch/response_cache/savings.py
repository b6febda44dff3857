"""What the cache saved, by query: counts that the processes of an application add to, and its driver reads."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway_batch.local_files.private import make_private, open_private
from gateway_batch.transport.redis_connection import asking_redis

if TYPE_CHECKING:
    from redis.asyncio import Redis

_KEPT_S = 7 * 86_400
_MOST_DIGITS = 19


class Savings(NamedTuple):
    """Counts of a query, in requests; of an embedding service, in rows.

    Attributes:
        sent: that were sent. Attempts after the first are not counted.
        saved: that were not sent, as their answers were there.
    """

    sent: int
    saved: int


class Counts(NamedTuple):
    """What `Savings` has, and the requests that were sent: an embedding service takes several rows in one."""

    sent: int = 0
    saved: int = 0
    requests: int = 0

    @property
    def savings(self) -> Savings:
        """For users."""
        return Savings(self.sent, self.saved)


def add_savings(path: Path, execution_id: str, counts: Counts) -> None:
    """Appends a line to the host's file of an application.

    Raises:
        OSError: it can't be written.
    """
    make_private(path.parent)
    file = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{execution_id} {' '.join(map(str, counts))}\n".encode())
    finally:
        os.close(file)


def read_savings(path: Path) -> dict[str, Counts]:
    """Sums of a host's file, by execution id; none where there is no file. Lines of another form don't count."""
    if not path.is_file():
        return {}
    lines = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return sum_savings(
        (execution_id, Counts(*map(int, counts)))
        for execution_id, *counts in filter(None, lines)
        if len(counts) == len(Counts._fields) and all(map(_is_count, counts))
    )


async def add_shared_savings(redis: Redis, key: str, execution_id: str, counts: Counts) -> None:
    """Adds to an application's counts in Redis, kept for a week.

    Raises:
        RedisError: they may not have been added.
    """
    async with asking_redis(), redis.pipeline() as pipe:
        for name, count in counts._asdict().items():
            pipe.hincrby(key, f"{execution_id} {name}", count)
        pipe.expire(key, _KEPT_S)
        await pipe.execute()


async def read_shared_savings(redis: Redis, key: str) -> dict[str, Counts]:
    """An application's counts in Redis, by execution id. Those of another form, or a later version's, don't count.

    Raises:
        RedisError: they can't be read.
    """
    async with asking_redis():
        counts: dict[bytes, bytes] = await redis.hgetall(key)  # type: ignore[assignment]
        fields = [(field.decode(errors="replace"), count.decode(errors="replace")) for field, count in counts.items()]
    known = [(*field.rpartition(" ")[::2], count) for field, count in fields if _is_count(count)]
    return sum_savings(
        (execution_id, Counts(**{name: int(count)})) for execution_id, name, count in known if name in Counts._fields
    )


def savings_key(coordination_name: str, application_id: str) -> str:
    """Where an application's counts are in Redis."""
    return f"gateway_batch:{coordination_name}:savings:{application_id}"


def sum_savings(counts: Iterable[tuple[str, Counts]]) -> dict[str, Counts]:
    """Sums by execution id."""
    sums = defaultdict[str, Counts](Counts)
    for execution_id, each in counts:
        sums[execution_id] = total((sums[execution_id], each))
    return dict(sums)


def total(counts: Iterable[Counts]) -> Counts:
    """The sum."""
    return Counts(*map(sum, zip(Counts(), *counts, strict=True)))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS
