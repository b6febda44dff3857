"""`gb.Client`: the calls of `ai_query` without Spark, recorded in the same ledger."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import secrets
import shutil
import weakref
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar, Unpack, overload

from gateway_batch.apis import task_of
from gateway_batch.config import (
    CHAT,
    DRIVER,
    EMBEDDINGS,
    GatewayConfig,
    resolve_service,
    spool_folder,
    system_user,
)
from gateway_batch.engine.call_options import (
    CallOptions,
    QueryOptions,
    check_names,
    check_text,
    check_values,
    parameters_of,
    tags_of,
    texts_of,
)
from gateway_batch.engine.concurrency_window import answer_all
from gateway_batch.engine.embedding_batches import BatchEmbedder, BatchSize, batch_texts
from gateway_batch.engine.runtime import Runtime, RuntimeSettings
from gateway_batch.errors import CallError, ConfigError
from gateway_batch.response_cache.process_cache import shared_dir
from gateway_batch.transport import Transport
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    InferenceRequest,
    InferenceResult,
    Service,
    Task,
)
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.spool import prepare
from gateway_batch.version import USER_AGENT

if TYPE_CHECKING:
    import httpx

SOURCE = "EXTERNAL_CLIENT"

_clients = itertools.count(1)

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]


class Client:
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
        ConfigError: a setting is wrong, or `http_client` is not an `httpx.AsyncClient`.
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
        self._caller = Caller(
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
            open_transport = _sending_through(http_client)
        self._runtime = _open_runtime(self.config, self.application_id, open_transport)
        self._finish = weakref.finalize(self, _close, self._runtime)

    def query(self, endpoint: str, request: str, **options: Unpack[QueryOptions]) -> str:
        """A chat model's answer to one prompt.

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            request: the prompt.
            options: see `QueryOptions`.

        Raises:
            CallError: no attempt was answered, or none is due after the last one's failure.
            ConfigError: an argument is wrong, the endpoint is not configured, or its token can't be had.
            LedgerError: an attempt could not be recorded; it was not sent.
            RuntimeError: the client is closed.
        """
        return self._wait_for(self._one(endpoint, request, options))

    async def aquery(self, endpoint: str, request: str, **options: Unpack[QueryOptions]) -> str:
        """As `query`."""
        return await self._awaited(self._one(endpoint, request, options))

    @overload
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        **options: Unpack[QueryOptions],
    ) -> list[str]: ...
    @overload
    def query_many(
        self, endpoint: str, requests: Iterable[str], *, fail_on_error: bool, **options: Unpack[QueryOptions]
    ) -> list[str | CallError]: ...
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool = True,
        **options: Unpack[QueryOptions],
    ) -> Sequence[str | CallError]:
        """A chat model's answers to many prompts, in their order, as many at once as `max_concurrency` allows.

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            requests: the prompts.
            fail_on_error: the first failed call ends it all; False puts each failed call's error in its answer's place.
            options: see `QueryOptions`; the same for all prompts.

        Raises:
            CallError: with `fail_on_error`; else as `query`.
        """
        return self._wait_for(self._many(endpoint, requests, fail_on_error, options))

    @overload
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        **options: Unpack[QueryOptions],
    ) -> list[str]: ...
    @overload
    async def aquery_many(
        self, endpoint: str, requests: Iterable[str], *, fail_on_error: bool, **options: Unpack[QueryOptions]
    ) -> list[str | CallError]: ...
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool = True,
        **options: Unpack[QueryOptions],
    ) -> Sequence[str | CallError]:
        """As `query_many`."""
        return await self._awaited(self._many(endpoint, requests, fail_on_error, options))

    @overload
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        **options: Unpack[CallOptions],
    ) -> list[list[float]]: ...
    @overload
    def embed(
        self, endpoint: str, texts: Iterable[str], *, fail_on_error: bool, **options: Unpack[CallOptions]
    ) -> list[list[float] | CallError]: ...
    def embed(
        self, endpoint: str, texts: Iterable[str], *, fail_on_error: bool = True, **options: Unpack[CallOptions]
    ) -> Sequence[list[float] | CallError]:
        """A vector for each text, in their order. Several texts share a request (`embedding_rows` of the endpoint).

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            texts: any number of them.
            fail_on_error: the first text that fails by itself ends it all; False puts its error in its vector's place.
            options: see `CallOptions`.

        Raises:
            CallError: with `fail_on_error`; else as `query`.
        """
        return self._wait_for(self._vectors(endpoint, texts, fail_on_error, options))

    @overload
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        **options: Unpack[CallOptions],
    ) -> list[list[float]]: ...
    @overload
    async def aembed(
        self, endpoint: str, texts: Iterable[str], *, fail_on_error: bool, **options: Unpack[CallOptions]
    ) -> list[list[float] | CallError]: ...
    async def aembed(
        self, endpoint: str, texts: Iterable[str], *, fail_on_error: bool = True, **options: Unpack[CallOptions]
    ) -> Sequence[list[float] | CallError]:
        """As `embed`."""
        return await self._awaited(self._vectors(endpoint, texts, fail_on_error, options))

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

    def _one(self, endpoint: str, request: str, options: QueryOptions) -> Work[str]:
        service = self._service(endpoint, options, CHAT)
        check_text(request, "request")
        (call,) = self._prompts([request], service, options)
        infer = self._infer(service)

        async def work() -> str:
            return _text(await infer(call))

        return work

    def _many(
        self, endpoint: str, requests: Iterable[str], fail_on_error: bool, options: QueryOptions
    ) -> Work[list[str | CallError]]:
        service = self._service(endpoint, options, CHAT)
        calls = self._prompts(texts_of(requests, "requests"), service, options)
        infer, workers = self._infer(service), self._runtime.settings.workers

        async def work() -> list[str | CallError]:
            answers = await answer_all(calls, infer, workers=workers, fail_fast=fail_on_error)
            return [answer if isinstance(answer, CallError) else _text(answer) for answer in answers]

        return work

    def _vectors(
        self, endpoint: str, texts: Iterable[str], fail_on_error: bool, options: CallOptions
    ) -> Work[list[list[float] | CallError]]:
        check_names(options, CallOptions)
        service = self._service(endpoint, options, EMBEDDINGS)
        parameters, tags = parameters_of(options, service), tags_of(options, self.config.request_tags)
        singles = (EmbeddingRequest((text,), parameters, tags) for text in texts_of(texts, "texts"))
        batches, workers = list(batch_texts(singles, BatchSize(service.embedding_rows))), self._runtime.settings.workers
        embedder = BatchEmbedder(self._infer(service), fail_fast=fail_on_error)

        async def work() -> list[list[float] | CallError]:
            answers = await answer_all(batches, embedder.embed, workers=workers, fail_fast=True)
            return [vector for vectors in answers if isinstance(vectors, list) for vector in vectors]

        return work

    def _service(self, endpoint: str, options: CallOptions, suited: str) -> Service:
        """The endpoint's service; where its API would only be guessed by its name, the method called knows better."""
        check_text(endpoint, "endpoint")
        service = resolve_service(self.config, endpoint, options.get("api"), suited=suited)
        if task_of(service.api) is not task_of(suited):
            method = "query" if task_of(suited) is Task.CHAT else "embed"
            raise ConfigError(f"endpoint {endpoint}: {service.api} is not an API for {method}()")
        return service

    def _prompts(self, requests: list[str], service: Service, options: QueryOptions) -> list[InferenceRequest]:
        check_names(options, QueryOptions)
        check_values(options)
        parameters, tags = parameters_of(options, service), tags_of(options, self.config.request_tags)
        return [
            InferenceRequest(
                text,
                parameters,
                tags,
                instructions=options.get("instructions"),
                response_format=options.get("response_format"),
                images=tuple(options.get("images") or ()),
            )
            for text in requests
        ]

    def _infer(self, service: Service) -> Callable[[AnyRequest], Awaitable[InferenceResult]]:
        client, caller = self._runtime.client, self._caller

        async def infer(call: AnyRequest) -> InferenceResult:
            return await client.infer(call, service, caller)

        return infer

    def _wait_for(self, work: Work[T]) -> T:
        future = self._runtime.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # an interrupted wait ends the call; an ended one can't be cancelled

    async def _awaited(self, work: Work[T]) -> T:
        future: Future[T] = self._runtime.submit(work)
        return await asyncio.wrap_future(future)


def _sending_through(http_client: httpx.AsyncClient) -> Callable[[], Transport]:
    from gateway_batch.transport.httpx_transport import HttpxClientTransport, check_client

    check_client(http_client)
    return lambda: HttpxClientTransport(http_client, USER_AGENT)


def _open_runtime(
    config: GatewayConfig, application_id: str, open_transport: Callable[[], Transport] | None
) -> Runtime:
    if config.coordination == DRIVER:
        raise ConfigError(
            "coordination: a Client has no driver: share its limits through Redis, or keep them with host"
        )
    number = next(_clients)
    spool_dir = spool_folder(config)
    prepare(spool_dir)
    settings = RuntimeSettings.of(config, scope=f"{application_id}-{number}", registration=number, spool_dir=spool_dir)
    return Runtime(settings, config.credentials(), open_transport)


def _close(runtime: Runtime) -> None:
    try:
        runtime.close()
    finally:
        shutil.rmtree(shared_dir(runtime.settings.scope), ignore_errors=True)


@functools.cache
def _application_id(process: int) -> str:
    return f"client-{process}-{secrets.token_hex(8)}"


def _text(result: InferenceResult) -> str:
    assert isinstance(result.value, str)
    return result.value
