"""Connections to the driver's lease server: short, and few of those that have not shown its token.

Without bounds anyone who reaches the port could take all files that the driver's process may open.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

WITHIN_S = 5.0
"""From one answer to the next, and from the connection's begin to the first: idle, or sending slowly."""

MOST_STRANGERS = 64
MOST_HEAD_BYTES = 16 << 10

_log = logging.getLogger(__name__)
_log.setLevel(logging.ERROR)  # what strangers send that is no HTTP is no news


class LeaseConnection(H11Protocol):
    """A connection; its requests have it as `request.state.connection`.

    Attributes:
        is_known: a request on it has shown the token.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_known = False
        self.app_state = {"connection": self}
        self.logger = _log
        self._opened_at = 0.0
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection; where there are too many strangers, the first of them goes."""
        super().connection_made(transport)
        self._opened_at = self.loop.time()
        self._restart()
        strangers = [each for each in self.connections if isinstance(each, LeaseConnection) and not each.is_known]
        if len(strangers) > MOST_STRANGERS:
            min(strangers, key=lambda each: each._opened_at).abort()

    def on_response_complete(self) -> None:
        """Gives the next request its time."""
        self._restart()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Ends the connection at once."""
        self.connections.discard(self)
        self.transport.abort()

    def _restart(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = self.loop.call_later(WITHIN_S, self.abort)
