"""A shared store that may be out of reach, with the host's own as its fallback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from gateway_batch.response_cache.store import AnswerStore, Found, Outbox, StoreError

_TRY_AGAIN_S = 5.0

_log = logging.getLogger(__name__)


class FallbackStore:
    """Answers in a shared store; while that does not answer, in the host's.

    Args:
        shared: what is asked where it can be.
        host: what is asked for a while after `shared` failed.
        clock: seconds.
    """

    def __init__(self, shared: AnswerStore, host: AnswerStore, clock: Callable[[], float]) -> None:
        self._shared = shared
        self._host = host
        self._clock = clock
        self._host_until = clock()
        self._warned = False

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """See `AnswerStore.exchange`."""
        if self._clock() >= self._host_until:
            try:
                return await self._shared.exchange(outbox, wanted)
            except StoreError as error:
                self._host_until = self._clock() + _TRY_AGAIN_S
                self._warn(error)
        return await self._host.exchange(outbox, wanted)

    async def close(self) -> None:
        """See `AnswerStore.close`."""
        await self._shared.close()
        await self._host.close()

    def _warn(self, error: StoreError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("answers are shared on this host only for now, so others may send requests again: %s", error)
