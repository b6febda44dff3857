"""A shared store that may be out of reach, with the host's own as its fallback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from gateway_batch.response_cache.pausing_store import PausingStore
from gateway_batch.response_cache.store import AnswerStore, Found, Outbox, StoreError

_log = logging.getLogger(__name__)


class FallbackStore:
    """Answers in a shared store; while that does not answer as it should, in the host's.

    Args:
        shared: what is asked where it can be.
        host: what is asked for a while after `shared` failed.
        clock: seconds.
        within_s: how long an exchange with either may take; None: as long as the store lets it.
    """

    def __init__(
        self, shared: AnswerStore, host: AnswerStore, clock: Callable[[], float], within_s: float | None = None
    ) -> None:
        self._shared = PausingStore(shared, clock, within_s)
        self._host = PausingStore(host, clock, within_s)
        self._host_has_claims = False
        self._warned = False

    async def exchange(self, outbox: Outbox, wanted: Sequence[bytes]) -> Sequence[Found]:
        """See `AnswerStore.exchange`."""
        try:
            found = await self._shared.exchange(outbox, wanted)
        except StoreError as error:
            self._warn(error)
            self._host_has_claims = True
            return await self._host.exchange(outbox, wanted)
        if self._host_has_claims:
            self._host_has_claims = False
            await self._host.close()  # its claims would not be given up one by one any more; it opens again if need be
        return found

    async def close(self) -> None:
        """See `AnswerStore.close`."""
        await self._shared.close()
        await self._host.close()

    def _warn(self, error: StoreError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("answers are shared on this host only for now, so others may send requests again: %s", error)
