"""Windows for the tests of partitions."""

from __future__ import annotations

import asyncio

from gateway_batch.engine.concurrency_window import ConcurrencyWindow

Loop = asyncio.AbstractEventLoop


def window(workers: int = 4, read_ahead: int = 100, *, fail_fast: bool = False) -> ConcurrencyWindow:
    return ConcurrencyWindow(workers, read_ahead, fail_fast)
