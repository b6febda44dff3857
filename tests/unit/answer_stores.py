"""Opens a scope's answers in either kind of store, for tests and the processes they start."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway_batch.response_cache import AnswerScope, AnswerStore, Claim, HostAnswerStore, Outbox, RedisAnswerStore
from gateway_batch.transport.redis_connection import connect

A, B, C, D = (letter * 16 for letter in (b"a", b"b", b"c", b"d"))
QUOTA = 1 << 30
LEASE_S = 3.0
_ROOT = Path(__file__).parents[2]


def scope_in(folder: Path, query: str = "3") -> AnswerScope:
    """A scope whose name is the folder's; an empty query is none."""
    return AnswerScope(folder.name, folder, "app", query, kept_s=60)


@asynccontextmanager
async def open_store(url: str, scope: AnswerScope, quota_bytes: int = QUOTA) -> AsyncIterator[AnswerStore]:
    """A store in Redis, or on the host where there is no URL; closed at the end."""
    redis = connect(url) if url else None
    store: AnswerStore = (
        HostAnswerStore(scope, quota_bytes)
        if redis is None
        else RedisAnswerStore(redis, scope, coordination_name="tests", quota_bytes=quota_bytes, lease_s=LEASE_S)
    )
    try:
        yield store
    finally:
        await store.close()
        if redis is not None:
            await redis.aclose()


def claimed_elsewhere(url: str, folder: Path) -> str:
    """What a process says that claims request A too."""
    command = [sys.executable, "-m", "tests.unit.answer_stores", url, str(folder)]
    return subprocess.run(command, input="\n\n", stdout=subprocess.PIPE, text=True, cwd=_ROOT, check=False).stdout


async def hold(url: str, folder: str) -> None:
    """Claims request A, says so, keeps an answer when asked to, and says so."""
    async with open_store(url, scope_in(Path(folder))) as store:
        assert await store.exchange(Outbox(), [A]) == [Claim.MINE]
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await store.exchange(Outbox(answers=[(A, b'{"value": "theirs"}')]), [])
        print("kept", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(hold(*sys.argv[1:]))
