"""What lives in a worker process across its tasks: event loop, connections, spool writer.

Made at the worker's first task, after Spark's daemon forked it.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gateway_batch.client import CallPolicy, InferenceClient
from gateway_batch.config import Credentials
from gateway_batch.limits import HostSlots, Limiter
from gateway_batch.retry import RetryPolicy
from gateway_batch.spark.plan import RuntimeSettings
from gateway_batch.transport import ReqwestTransport
from gateway_batch.usage.spool import SpoolWriter
from gateway_batch.version import USER_AGENT

_LOOK_AT_SEGMENT_S = 0.5

T = TypeVar("T")


class WorkerRuntime:
    """A client on an event loop in a thread of its own.

    Args:
        settings: equal settings mean the same runtime.
        credentials: of the registration that the settings name.
    """

    def __init__(self, settings: RuntimeSettings, credentials: Credentials) -> None:
        self.settings = settings
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="gateway_batch", daemon=True)
        self._thread.start()
        try:
            self.client = self._on_loop(lambda: self._open(credentials))
        except BaseException:
            self._stop_loop()
            raise

    def end_task(self) -> None:
        """Hands the task's records to the drain and idle slots to the other processes.

        Raises:
            LedgerError: the records could not be handed over.
        """
        self._on_loop(self._limiter.leave)
        self._on_loop(self._spool.seal)

    def close(self) -> None:
        """Ends the loop, the connections and the spool writer."""
        asyncio.run_coroutine_threadsafe(self._transport.close(), self.loop).result()
        self._on_loop(self._close)
        self._stop_loop()

    def _open(self, credentials: Credentials) -> InferenceClient:
        settings = self.settings
        self._spool = SpoolWriter(Path(settings.spool_dir), self.loop.call_soon)
        slots = HostSlots(_shared_dir(settings.scope) / f"slots-{settings.max_concurrency}", settings.max_concurrency)
        self._limiter = Limiter(slots, settings.max_concurrency, self.loop.time, random.random)
        self._transport = ReqwestTransport(USER_AGENT)
        self._timer = self.loop.call_later(_LOOK_AT_SEGMENT_S, self._rotate)
        policy = CallPolicy(
            RetryPolicy(attempts=settings.max_attempts), settings.request_timeout_s, settings.row_deadline_s
        )
        return InferenceClient(
            self._transport, self._spool, self._limiter, credentials, policy=policy, clock=self.loop.time
        )

    def _rotate(self) -> None:
        self._timer = self.loop.call_later(_LOOK_AT_SEGMENT_S, self._rotate)
        self._spool.rotate_if_due()

    def _close(self) -> None:
        self._timer.cancel()
        self._limiter.close()
        self._spool.close()

    def _stop_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _on_loop(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result()


_runtime: WorkerRuntime | None = None


def runtime_for(settings: RuntimeSettings, credentials: Credentials) -> WorkerRuntime:
    """This process's runtime. One of other settings is closed first: a worker runs one task at a time."""
    global _runtime
    if _runtime is not None and _runtime.settings != settings:
        _runtime.close()
        _runtime = None
    if _runtime is None:
        _runtime = WorkerRuntime(settings, credentials)
    return _runtime


def _shared_dir(scope: str) -> Path:
    """What the processes of an application share on this host, private to the user."""
    return Path(tempfile.gettempdir()) / f"gateway_batch-{os.getuid()}" / scope
