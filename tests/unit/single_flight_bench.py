"""Stores of a scope, and a sender that counts, for the tests of single flight."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway_batch.errors import CallError
from gateway_batch.response_cache import (
    SingleFlight,
)

from .answer_stores import QUOTA, open_store, scope_in

T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """Where a test's scope has its answers."""

    url: str
    folder: Path

    def run(
        self,
        work: Callable[[SingleFlight], Awaitable[T]],
        *,
        query: str = "3",
        quota_bytes: int = QUOTA,
        row_deadline_s: float = math.inf,
    ) -> T:
        """What a process of its own would get: single flight over a store opened anew."""

        async def main() -> T:
            async with open_store(self.url, scope_in(self.folder, query), quota_bytes) as opened:
                single_flight = SingleFlight(opened, keep_failures=bool(query), row_deadline_s=row_deadline_s)
                try:
                    return await work(single_flight)
                finally:
                    await single_flight.close()

        return asyncio.run(main())


class Sender:
    """Answers with how often it was asked."""

    def __init__(self, *errors: CallError | None, delay_s: float = 0.0) -> None:
        self.calls = 0
        self.begun = asyncio.Event()
        self._errors = list(errors)
        self._delay_s = delay_s

    async def __call__(self) -> int:
        self.calls += 1
        count = self.calls
        self.begun.set()
        await asyncio.sleep(self._delay_s)
        if self._errors and (error := self._errors.pop(0)) is not None:
            raise error
        return count
