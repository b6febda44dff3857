"""`gb.Client`: the calls of `ai_query` without Spark, recorded in the same ledger."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import secrets
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from gateway_batch.config import DRIVER, GatewayConfig, spool_folder, system_user
from gateway_batch.engine.client_calls import ClientCalls
from gateway_batch.engine.client_methods import AwaitedMethods, BlockingMethods
from gateway_batch.engine.runtime import Runtime, RuntimeSettings
from gateway_batch.errors import ConfigError
from gateway_batch.local_files.lifetimes import HeldFolder, remove_ended
from gateway_batch.response_cache.process_cache import hold, shared_dir
from gateway_batch.transport import Transport
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.spool import prepare
from gateway_batch.version import USER_AGENT

if TYPE_CHECKING:
    import httpx

SOURCE = "EXTERNAL_CLIENT"

_clients = itertools.count(1)


class Client(BlockingMethods, AwaitedMethods):
    """Calls models through the gateway; each HTTP attempt has its row in the usage ledger, retries among them.

    One client serves any number of threads and event loops: its calls run on a loop in a thread of its own. Each
    method has a twin to await, named with an `a`; cancelling the awaiting task stops its call. Close the client, or
    use it in `with` or `async with`; one that nobody closed is closed when it is dropped or the process ends.

    Records go to `spool_dir`, unset to where a local session in the same working directory has it. A session's
    flush, or `gateway-batch usage`, brings to the table what is sealed: two to three seconds later, and at `close`.

    Args:
        config: settings; None reads the environment. Limits are this client's alone, unless `coordination` is a Redis.
        http_client: sends the requests, in place of the setting `transport`. Its proxies, certificates, headers,
            `auth`, event hooks, or `httpx.MockTransport` apply; its timeout doesn't (`request_timeout` does), and no
            redirect is followed. All of it runs on this client's loop in this client's thread, so a hook or a mock
            must not block, and nothing else may use it until this client is closed. Its limits should allow
            `max_concurrency` connections. Requests that it makes by itself (an `auth` of several steps, a transport
            that retries) have no rows. Closing this client closes its connections; close the httpx client itself
            afterwards, on any loop.
        open_transport: makes what moves requests, in place of the network; for tests.

    Attributes:
        config: the settings in force.
        application_id: the usage table's `client_metadata.application_id`, one for all clients of a process.

    Raises:
        ConfigError: a setting is wrong, `http_client` is not an `httpx.AsyncClient`, or the folder of this user in the
            host's temporary folder is another user's.
        LedgerError: the spool folder can't be written.
    """

    def __init__(
        self,
        config: GatewayConfig | None = None,
        *,
        http_client: httpx.AsyncClient | None = None,
        open_transport: Callable[[], Transport] | None = None,
    ) -> None:
        self.config = config or GatewayConfig.from_env()
        self.application_id = _application_id(os.getpid())
        caller = Caller(
            source=SOURCE,
            user_agent=USER_AGENT,
            requester=self.config.requester or system_user(),
            account_id=self.config.account_id,
            workspace_id=self.config.workspace_id,
            application_id=self.application_id,
        )
        if http_client is not None:
            if open_transport is not None:
                raise ConfigError("http_client: can't be given together with open_transport")
            open_transport = _sending_through(http_client, self.config.max_answer_mb << 20)
        self._runtime, held = _open_runtime(self.config, self.application_id, open_transport)
        self._calls = ClientCalls(self.config, self._runtime, caller)
        self._finish = weakref.finalize(self, _close, self._runtime, held, os.getpid())

    def close(self) -> None:
        """Stops the calls under way, their outcomes recorded, and seals the records; closing again does nothing.

        A stopped call's thread or task gets a RuntimeError.

        Raises:
            LedgerError: the last records could not be sealed. They are on disk: a flush after this process finds them.
        """
        self._finish()

    async def aclose(self) -> None:
        """As `close`."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.aclose()


def _sending_through(http_client: httpx.AsyncClient, most_bytes: int) -> Callable[[], Transport]:
    from gateway_batch.transport.httpx_transport import HttpxClientTransport, check_client

    check_client(http_client)
    return lambda: HttpxClientTransport(http_client, USER_AGENT, most_bytes)


def _open_runtime(
    config: GatewayConfig, application_id: str, open_transport: Callable[[], Transport] | None
) -> tuple[Runtime, HeldFolder]:
    if config.coordination == DRIVER:
        raise ConfigError(
            "coordination: a Client has no driver: share its limits through Redis, or keep them with host"
        )
    number = next(_clients)
    spool_dir = spool_folder(config)
    prepare(spool_dir)
    remove_ended(shared_dir(""))
    settings = RuntimeSettings.of(config, scope=f"{application_id}-{number}", registration=number, spool_dir=spool_dir)
    held = hold(shared_dir(settings.scope))
    try:
        return Runtime(settings, config.credentials(), open_transport), held
    except BaseException:
        held.release()
        raise


def _close(runtime: Runtime, held: HeldFolder, process: int) -> None:
    if os.getpid() != process:  # a fork of it, which shares none of this
        return
    try:
        runtime.close()
    finally:
        held.release()


@functools.cache
def _application_id(process: int) -> str:
    return f"client-{process}-{secrets.token_hex(8)}"
