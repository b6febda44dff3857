"""What a process calls through: an event loop in a thread of its own, connections, slots and the spool writer on it.

Spark's workers have one (`spark/worker/worker_runtime`), and so does each `gb.Client`. Made after any fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvloop

from gateway_batch.admission.coordination import CoordinationConfig, limits_of, open_limiter
from gateway_batch.config import Credentials, GatewayConfig, TransportName, is_redis
from gateway_batch.engine.request_executor import CallPolicy, RequestExecutor
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.errors import LedgerError
from gateway_batch.response_cache import AnswerScope, SingleFlight
from gateway_batch.response_cache.process_cache import ResponseCache, shared_dir
from gateway_batch.transport import Transport
from gateway_batch.transport import open_transport as transport_named
from gateway_batch.usage.background_shipping import Shipper
from gateway_batch.usage.shipping import local_folder_for
from gateway_batch.usage.spool import SpoolWriter
from gateway_batch.version import USER_AGENT

_LOOK_AT_SEGMENT_S = 0.5
_STOP_WITHIN_S = 10.0
_LEAVE_WITHIN_S = 1.0
_SHIP_WITHIN_S = 20.0

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuntimeSettings:
    """What a runtime is made from. It travels in Spark's plans: no secret is in here.

    Attributes:
        scope: names what shares its slots on a host: a Spark application, or one client.
        registration: counts the registrations of a scope, whose credentials may differ.
        coordination: the limits, and which processes share them.
        spool_dir: the spool folder.
        ships: whether records are written to a folder of the host first, and copied to the spool folder.
        spool_local_dir: that folder; None: one in the host's temporary folder.
        usage_table: the table that the records are for; None: that of whoever drains them.
        transport: the HTTP library.
        max_retry_after_s: of a service's `Retry-After`.
        max_answer_mb: of an answer, unpacked.
        drops_refused_parameters: a call whose model parameter is refused is sent again without it.
    """

    scope: str
    registration: int
    spool_dir: str
    coordination: CoordinationConfig
    request_timeout_s: float
    row_deadline_s: float
    max_attempts: int
    cache_quota_mb: int = 2048
    ships: bool = False
    spool_local_dir: str | None = None
    usage_table: str | None = None
    event_id_tag: str | None = None
    transport: TransportName = "pyreqwest"
    max_retry_after_s: float = 300.0
    max_answer_mb: int = 64
    drops_refused_parameters: bool = False

    @property
    def workers(self) -> int:
        """Calls to work on at once: some wait for a slot or between two attempts, and leave no slot idle."""
        return 2 * self.coordination.concurrency

    @classmethod
    def of(
        cls,
        config: GatewayConfig,
        *,
        scope: str,
        registration: int,
        spool_dir: Path,
        on_one_host: bool = True,
        lease_url: str | None = None,
    ) -> RuntimeSettings:
        """The part of the configuration that a runtime needs; `lease_url` is that of the driver's lease service."""
        backend = config.coordination_reference()
        return cls(
            scope=scope,
            registration=registration,
            spool_dir=str(spool_dir),
            coordination=CoordinationConfig(
                limits_of(config),
                budget="shared" if is_redis(backend) else f"registration {registration}",
                backend=backend,
                name=config.coordination_name,
                lease_url=lease_url,
            ),
            request_timeout_s=config.request_timeout,
            row_deadline_s=config.row_deadline,
            max_attempts=config.max_attempts,
            cache_quota_mb=config.cache_quota_mb,
            ships=not on_one_host or config.spool_local_dir is not None,
            spool_local_dir=config.spool_local_dir,
            usage_table=config.usage_table,
            event_id_tag=config.event_id_tag,
            transport=config.transport,
            max_retry_after_s=config.max_retry_after,
            max_answer_mb=config.max_answer_mb,
            drops_refused_parameters=config.drop_refused_parameters,
        )


class Runtime:
    """A client on an event loop in a thread of its own.

    Args:
        settings: equal settings mean the same runtime.
        credentials: of the registration that the settings name.
        open_transport: makes the transport, on the loop; None: the one that the settings name.

    Raises:
        LedgerError: the spool folder can't be written.
        ConfigError: the folder of this user in the host's temporary folder is another user's.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        credentials: Credentials,
        open_transport: Callable[[], Transport] | None = None,
    ) -> None:
        self.settings = settings
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._process = os.getpid()
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self.loop.run_forever, name="gateway_batch", daemon=True)
        self._thread.start()
        try:
            self.client = self._on_loop(lambda: self._open(credentials, open_transport or self._over_the_network))
        except BaseException:
            self._stop_loop()
            raise

    def submit(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Starts work on the loop, from any thread.

        Returns:
            Its future. Cancelling it cancels the work; RuntimeError if the runtime is closed meanwhile.

        Raises:
            RuntimeError: the runtime is closed, or was made before this process was forked.
        """

        async def run() -> T:
            try:
                return await work()
            except asyncio.CancelledError:
                if self._closed:
                    raise RuntimeError("the client was closed while this call was under way") from None
                raise

        with self._closing:
            self._check_usable()
            return asyncio.run_coroutine_threadsafe(run(), self.loop)

    def single_flight(self, scope: AnswerScope) -> SingleFlight:
        """The answers of a scope, for calls on the loop; those of the scope before are let go.

        Raises:
            ConfigError: answers are shared by a Redis whose URL or package is missing.
        """
        return self._await_on_loop(lambda: self._response_cache.open(scope))

    def end_task(self, note: bytes | None = None) -> None:
        """Hands the task's answers, counts and records over, and idle slots to the other processes.

        Args:
            note: a line for the spool, of the task itself.

        Raises:
            LedgerError: the records could not be handed over.
        """
        self._on_loop(self._limiter.release_idle)
        self._await_on_loop(self._response_cache.flush)
        self._on_loop(lambda: self._hand_over(note))
        self._await_on_loop(self._ship)

    def close(self) -> None:
        """Cancels what is under way, its outcomes recorded, and ends connections, spool writer and loop.

        Closing again does nothing.

        Raises:
            LedgerError: the last records could not be handed to the drain.
        """
        if os.getpid() != self._process:  # its thread stayed in the other process
            return
        if threading.current_thread() is self._thread:  # a collector's turn: it can't wait for itself
            threading.Thread(target=self.close, name="gateway_batch_close").start()
            return
        with self._closing:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(self._close(), self.loop).result()
        finally:
            self._stop_loop()
            _let_foreign_threads_leave()

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")
        if os.getpid() != self._process:
            raise RuntimeError("the client was made before this process was forked: make one in each process")

    def _open(self, credentials: Credentials, open_transport: Callable[[], Transport]) -> RequestExecutor:
        settings = self.settings
        spool_dir = Path(settings.spool_dir)
        scope_dir = shared_dir(settings.scope)  # before anything else: it may be refused
        written_to = local_folder_for(spool_dir, settings.spool_local_dir) if settings.ships else spool_dir
        self._shipper = Shipper(written_to, spool_dir) if settings.ships else None
        self._spool = SpoolWriter(written_to, self.loop.call_soon, table=settings.usage_table)
        self._transport = open_transport()
        self._limiter = open_limiter(
            settings.coordination, scope_dir, credentials, self._transport.send, self.loop.time
        )
        self._response_cache = ResponseCache(
            settings.coordination,
            settings.cache_quota_mb << 20,
            credentials,
            self.loop.time,
            row_deadline_s=settings.row_deadline_s,
        )
        self._timer = self.loop.call_later(_LOOK_AT_SEGMENT_S, self._rotate)
        policy = CallPolicy(
            RetryPolicy(attempts=settings.max_attempts),
            settings.request_timeout_s,
            settings.row_deadline_s,
            settings.max_retry_after_s,
            drops_refused_parameters=settings.drops_refused_parameters,
        )
        return RequestExecutor(
            self._transport,
            self._spool,
            self._limiter,
            credentials,
            policy=policy,
            event_id_tag=settings.event_id_tag,
            clock=self.loop.time,
        )

    def _over_the_network(self) -> Transport:
        return transport_named(self.settings.transport, USER_AGENT, self.settings.max_answer_mb << 20)

    def _rotate(self) -> None:
        self._timer = self.loop.call_later(_LOOK_AT_SEGMENT_S, self._rotate)
        with contextlib.suppress(LedgerError):  # nothing is lost, and the next intent says it
            self._spool.rotate_if_due()
        if self._shipper is not None:
            self._shipper.start_round()

    def _hand_over(self, note: bytes | None) -> None:
        if note is not None:
            try:
                self._spool.note(note)
            except LedgerError as error:  # what was sent is recorded all the same
                _log.warning("a task's summary is lost: %s", error)
        self._spool.seal()

    async def _close(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_STOP_WITHIN_S)
        await self._response_cache.close()
        self._timer.cancel()
        await self._limiter.close()
        await self._transport.close()
        self._spool.close()
        await self._ship()

    async def _ship(self) -> None:
        if self._shipper is not None:
            await self._shipper.ship(_SHIP_WITHIN_S)

    def _stop_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _on_loop(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._await_on_loop(call)

    def _await_on_loop(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result()


def _let_foreign_threads_leave() -> None:
    """Waits until no thread of a library runs Python code.

    The HTTP library's thread that reports its end is still in Python when the report arrives. Should the interpreter
    end just then, Python ends that thread in the middle, and the library aborts the process.
    """
    until = time.monotonic() + _LEAVE_WITHIN_S
    while sys._current_frames().keys() - {thread.ident for thread in threading.enumerate()}:
        if time.monotonic() > until:
            return
        time.sleep(0.001)
