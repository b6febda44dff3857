"""A store with a bound on each exchange, and a pause after one that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway_batch.response_cache.store import AnswerStore, Found, Outbox, StoreError

_TRY_AGAIN_S = 5.0


class PausingStore:
    """A store that is left alone for 5 s after it failed, so that calls don't wait for it one after another.

    Args:
        store: what is asked.
        clock: seconds.
        within_s: how long an exchange may take; None: as long as the store lets it.
    """

    def __init__(self, store: AnswerStore, clock: Callable[[], float], within_s: float | None = None) -> None:
        self._store = store
        self._clock = clock
        self._within_s = within_s
        self._paused_until = clock()
        self._failure = ""

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """See `AnswerStore.exchange`. Whatever goes wrong in the store is a StoreError."""
        if self._clock() < self._paused_until:
            raise StoreError(self._failure)
        try:
            async with asyncio.timeout(self._within_s):
                return await self._store.exchange(outbox, wanted)
        except StoreError as error:
            self._failure = str(error)
        except TimeoutError:
            self._failure = f"it did not answer within {self._within_s:g} s"
        except Exception as error:
            self._failure = f"what it answered is not understood ({type(error).__name__})"
        self._paused_until = self._clock() + _TRY_AGAIN_S
        raise StoreError(self._failure)

    async def close(self) -> None:
        """See `AnswerStore.close`."""
        await self._store.close()
