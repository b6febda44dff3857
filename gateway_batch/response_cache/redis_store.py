"""A scope's answers in Redis, shared by hosts and applications.

Keys are `gateway_batch:<coordination name>:<scope>:<request>`; a value starts with what it is: `c<owner>` a claim,
`a<JSON>` an answer, `f<query> <JSON>` a failure that holds for one query. An owner is a lease: a key of its own, which
its process sets anew while it holds claims. The claims of an owner whose key has lapsed can be taken over. After a
failed exchange a process is another owner, as nobody knows which of its claims were written.

A value of any other form may be a later version's, or anybody's: it is left alone, and its request sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from gateway_batch.response_cache.host_store import warn_of_quota
from gateway_batch.response_cache.store import AnswerScope, Claim, Found, Outbox, StoreError
from gateway_batch.transport.redis_connection import RedisError, asking_redis, raise_first

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

_MOST_FORMER = 100

_RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.pcall('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""
_CLAIM = """
local mine, failure, kept_s, owners = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = {}
for place, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key) or ''
  local kind = type(value) == 'string' and string.sub(value, 1, 1) or 'another type'
  if kind == 'a' then
    redis.call('EXPIRE', key, kept_s)
    found[place] = value
  elseif kind == 'f' and failure ~= '' and string.sub(value, 1, #failure) == failure then
    found[place] = 'a' .. string.sub(value, #failure + 1)
  elseif kind == 'c' and value ~= mine and redis.call('EXISTS', owners .. string.sub(value, 2)) == 1 then
    found[place] = 'h'
  elseif kind ~= '' and kind ~= 'f' and kind ~= 'c' then
    found[place] = 'u'
  else
    redis.call('SET', key, mine, 'EX', kept_s)
    found[place] = 'm'
  end
end
return found
"""

_log = logging.getLogger(__name__)


class RedisAnswerStore:
    """Answers in Redis.

    Args:
        redis: not closed with the store.
        scope: whose answers.
        coordination_name: what the applications that share them have in common.
        quota_bytes: of the scope's answers; past it new ones are not kept.
        lease_s: after which the claims of a process that died, or lost its connection, can be taken over.
    """

    def __init__(
        self, redis: Redis, scope: AnswerScope, *, coordination_name: str, quota_bytes: int, lease_s: float = 10.0
    ) -> None:
        self._redis = redis
        self._prefix = f"gateway_batch:{coordination_name}:{scope.name}:"
        self._bytes = f"gateway_batch:{coordination_name}:bytes:{scope.name}"
        self._owners = f"gateway_batch:{coordination_name}:owner:"
        self._me = secrets.token_hex(8)
        self._former: list[str] = []
        self._failure = f"f{scope.query} ".encode() if scope.query else b""
        self._kept_s = scope.kept_s
        self._quota_bytes = quota_bytes
        self._lease_s = lease_s
        self._full = False
        self._held: set[bytes] = set()
        self._foreign: set[bytes] = set()
        """Requests under way whose key has a value that is not ours."""
        self._warned = False
        self._renewing: asyncio.Task[None] | None = None

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """See `AnswerStore.exchange`."""
        if self._full:
            outbox = outbox.without_answers()
        try:
            async with self._pipeline() as pipe:
                replies = await self._replies(pipe, outbox, wanted)
            size, found = _size(replies[0]), [_found(value) for value in _list(replies[-1], wanted)]
        except BaseException:
            self._held.clear()
            self._former.append(f"{self._owners}{self._me}")
            self._me = secrets.token_hex(8)
            raise
        self._former.clear()
        if size > self._quota_bytes and not self._full:
            self._full = True
            warn_of_quota(_log, self._quota_bytes)
        done = {*outbox.released, *(key for key, _ in outbox.answers), *(key for key, _ in outbox.failures)}
        self._held -= done
        self._foreign -= done
        self._held |= {key for key, stand in zip(wanted, found, strict=True) if stand is Claim.MINE}
        if None in found:
            self._leave_alone({key for key, stand in zip(wanted, found, strict=True) if stand is None})
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_regularly())
        return [Claim.MINE if stand is None else stand for stand in found]

    async def close(self) -> None:
        """See `AnswerStore.close`."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._held:
            with contextlib.suppress(StoreError):
                async with self._pipeline() as pipe:
                    pipe.delete(f"{self._owners}{self._me}")
                    await pipe.execute()

    async def _replies(self, pipe: Pipeline, outbox: Outbox, wanted: Sequence[bytes]) -> list[Any]:
        """What Redis answers: first the scope's size, last how what is wanted stands."""
        pipe.incrby(self._bytes, sum(len(answer) for _, answer in outbox.answers))
        pipe.expire(self._bytes, self._kept_s)
        if self._former:
            pipe.delete(*self._former[-_MOST_FORMER:])
        self._renew(pipe)
        self._write(pipe, outbox)
        if wanted:
            self._script(pipe, _CLAIM, wanted, f"c{self._me}", self._failure, self._kept_s, self._owners)
        replies = await pipe.execute(raise_on_error=False)
        raise_first(replies)
        return replies

    def _leave_alone(self, foreign: set[bytes]) -> None:
        self._foreign |= foreign
        if not self._warned:
            self._warned = True
            _log.warning(
                "a value in Redis is of another kind than those of this version: it is left alone, and its request is "
                "sent each time it is asked. Its key is %s",
                self._prefix + min(foreign).hex(),
            )

    def _write(self, pipe: Pipeline, outbox: Outbox) -> None:
        kept = [(key, b"a" + answer) for key, answer in outbox.answers]
        kept += [(key, self._failure + answer) for key, answer in outbox.failures]
        for key, value in kept:
            if key in self._foreign:
                continue
            pipe.set(self._prefix + key.hex(), value, ex=self._kept_s)
        if outbox.released:
            self._script(pipe, _RELEASE, outbox.released, f"c{self._me}")

    def _renew(self, pipe: Pipeline) -> None:
        pipe.set(f"{self._owners}{self._me}", b"", px=round(self._lease_s * 1000))

    async def _renew_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if self._held:
                with contextlib.suppress(StoreError):  # the next exchange raises it
                    async with self._pipeline() as pipe:
                        self._renew(pipe)
                        await pipe.execute()

    def _script(self, pipe: Pipeline, script: str, requests: Sequence[bytes], *arguments: Any) -> None:
        pipe.eval(script, len(requests), *(self._prefix + key.hex() for key in requests), *arguments)

    @contextlib.asynccontextmanager
    async def _pipeline(self) -> AsyncIterator[Pipeline]:
        try:
            async with asking_redis(), self._redis.pipeline(transaction=False) as pipe:
                yield pipe
        except RedisError as error:
            raise StoreError(str(error)) from error


def _size(reply: object) -> int:
    if not isinstance(reply, int):
        raise StoreError("what answers as Redis is none: it gave no number for a sum")
    return reply


def _list(reply: object, wanted: Sequence[bytes]) -> list[object]:
    if not wanted:
        return []
    if not isinstance(reply, list) or len(reply) != len(wanted):
        raise StoreError("what answers as Redis is none: it gave another list than it was asked for")
    return reply


def _found(value: object) -> Found | None:
    """A request's claim or answer; None where its value is not ours."""
    match value[:1] if isinstance(value, bytes) else b"":
        case b"m":
            return Claim.MINE
        case b"h":
            return Claim.HELD
        case b"a":
            assert isinstance(value, bytes)
            return value[1:]
        case _:
            return None
