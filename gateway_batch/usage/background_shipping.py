"""Shipping next to an event loop: in a thread, as a shared folder may be slow, one round at a time."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.usage.shipping import ship_leftovers

_PAUSE_S = 0.25

_log = logging.getLogger(__name__)


class Shipper:
    """Copies what this host's processes seal to the shared spool folder. Belongs to one event loop.

    Args:
        local: the host's folder.
        spool_dir: the shared one.
    """

    def __init__(self, local: Path, spool_dir: Path) -> None:
        self._local = local
        self._spool_dir = spool_dir
        self._round_under_way = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None

    def start_round(self) -> None:
        """Ships what is sealed now, if no round is under way; a failure is logged, and the next round tries again."""
        if self._background is None or self._background.done():
            self._background = asyncio.get_running_loop().create_task(self._try_round())

    async def ship(self, within_s: float) -> None:
        """Returns once all that is sealed by now is in the shared folder.

        Raises:
            LedgerError: it could not be copied in time. It is safe on this host.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + within_s
        while True:
            try:
                return await self._round()
            except LedgerError:
                if clock() > until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _round(self) -> None:
        async with self._round_under_way:
            await asyncio.to_thread(ship_leftovers, self._local, self._spool_dir)

    async def _try_round(self) -> None:
        try:
            await self._round()
        except LedgerError as error:
            _log.warning("%s", error)
