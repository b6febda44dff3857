"""What a failed partition has under way: it was paid, so its answers are kept for the task's next try."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

_WAIT_S = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class InFlightRequests:
    """The requests that a partition has under way. Belongs to one event loop."""

    def __init__(self) -> None:
        self._count = 0
        self._all_done: asyncio.Event | None = None

    async def send(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls, unless the partition has failed: then it waits to be cancelled."""
        if self._all_done is not None:
            await asyncio.Event().wait()
        self._count += 1
        try:
            return await call(*args, **kwargs)
        finally:
            self._count -= 1
            if self._all_done is not None and self._count == 0:
                self._all_done.set()

    async def end(self) -> None:
        """Lets no more start, and waits for those that did, for 10 s at most."""
        if self._all_done is None:
            self._all_done = asyncio.Event()
        if self._count:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_S):
                    await self._all_done.wait()
