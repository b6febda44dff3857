"""What the methods of `gb.Client` run on its event loop: arguments checked here, calls made there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from gateway_batch.apis import task_of
from gateway_batch.apis.promised_json import NotAsPromised, promised_json
from gateway_batch.config import CHAT, EMBEDDINGS, GatewayConfig, resolve_service
from gateway_batch.engine.call_options import (
    CallOptions,
    EmbedOptions,
    ManyQueryOptions,
    QueryOptions,
    check_names,
    check_text,
    check_values,
    files_of,
    parameters_of,
    tags_of,
    texts_of,
)
from gateway_batch.engine.concurrency_window import answer_all
from gateway_batch.engine.embedding_batches import BatchEmbedder, BatchSize, batch_texts, vectors_of
from gateway_batch.engine.runtime import Runtime
from gateway_batch.errors import CallError, ConfigError, ErrorKind, MalformedError
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.types import (
    Answer,
    AnyRequest,
    EmbeddingRequest,
    InferenceRequest,
    InferenceResult,
    Price,
    Service,
    Task,
)
from gateway_batch.usage.attempts import Caller

T = TypeVar("T")
Call = TypeVar("Call")
Work = Callable[[], Awaitable[T]]


class ClientCalls:
    """The calls of one client.

    Args:
        config: its settings.
        runtime: what its calls run on.
        caller: who it is in the usage table.
    """

    def __init__(self, config: GatewayConfig, runtime: Runtime, caller: Caller) -> None:
        self._config = config
        self._runtime = runtime
        self._caller = caller

    def query(self, endpoint: str, request: str, options: QueryOptions, *, details: bool) -> Work[Any]:
        """Work that gives one prompt's text, or its `Answer`."""
        check_names(options, QueryOptions)
        service = self._service(endpoint, options, CHAT)
        check_text(request, "request")
        (call,) = self._prompts([request], service, options)
        infer, read = _checking(self._infer(service), options), _reader(service, details=details)

        async def work() -> Any:
            return read(await infer(call))

        return work

    def query_many(
        self, endpoint: str, requests: Iterable[str], options: ManyQueryOptions, *, fail_on_error: bool, details: bool
    ) -> Work[Any]:
        """Work that gives each prompt's text or `Answer`, or the error in its place, in their order."""
        check_names(options, ManyQueryOptions)
        service = self._service(endpoint, options, CHAT)
        calls = self._prompts(texts_of(requests, "requests"), service, options)
        read, workers = _reader(service, details=details), self._runtime.settings.workers
        checking = _checking(self._infer(service), options)
        infer = _reporting(checking, len(calls), lambda _: 1, options.get("progress"))

        async def work() -> Any:
            answers = await answer_all(calls, infer, workers=workers, fail_fast=fail_on_error)
            return [answer if isinstance(answer, CallError) else read(answer) for answer in answers]

        return work

    def embed(
        self, endpoint: str, texts: Iterable[str], options: EmbedOptions, *, fail_on_error: bool, details: bool
    ) -> Work[Any]:
        """Work that gives each text's vector or `Answer`, or the error in its place, in their order."""
        check_names(options, EmbedOptions)
        service = self._service(endpoint, options, EMBEDDINGS)
        parameters, tags = parameters_of(options, service), tags_of(options, self._config.request_tags)
        singles = [EmbeddingRequest((text,), parameters, tags) for text in texts_of(texts, "texts")]
        batches, workers = list(batch_texts(singles, BatchSize(service.embedding_rows))), self._runtime.settings.workers
        read = _vector_reader(service, details=details)
        embedder = BatchEmbedder(self._infer(service), read, fail_fast=fail_on_error)
        embed = _reporting(embedder.embed, len(singles), lambda batch: len(batch.texts), options.get("progress"))

        async def work() -> Any:
            answers = await answer_all(batches, embed, workers=workers, fail_fast=True)
            return [vector for vectors in answers if isinstance(vectors, list) for vector in vectors]

        return work

    def wait_for(self, work: Work[T]) -> T:
        """Runs work on the client's loop, and waits for it; an interrupt stops it."""
        future = self._runtime.submit(work)
        try:
            return future.result()
        finally:
            future.cancel()  # an interrupted wait ends the call; an ended one can't be cancelled

    async def awaited(self, work: Work[T]) -> T:
        """Runs work on the client's loop, and awaits it on the caller's."""
        return await asyncio.wrap_future(self._runtime.submit(work))

    def _service(self, endpoint: str, options: CallOptions, suited: str) -> Service:
        """The endpoint's service; where its API would only be guessed by its name, the method called knows better."""
        check_text(endpoint, "endpoint")
        service = resolve_service(self._config, endpoint, options.get("api"), suited=suited)
        if task_of(service.api) is not task_of(suited):
            method = "query" if task_of(suited) is Task.CHAT else "embed"
            raise ConfigError(f"endpoint {endpoint}: {service.api} is not an API for {method}()")
        return service

    def _prompts(self, requests: list[str], service: Service, options: QueryOptions) -> list[InferenceRequest]:
        check_values(options)
        files = files_of(options)
        parameters, tags = parameters_of(options, service), tags_of(options, self._config.request_tags)
        return [
            InferenceRequest(
                text,
                parameters,
                tags,
                instructions=options.get("instructions"),
                response_format=options.get("response_format"),
                files=files,
            )
            for text in requests
        ]

    def _infer(self, service: Service) -> Callable[..., Awaitable[InferenceResult]]:
        client, caller = self._runtime.client, self._caller

        async def infer(call: AnyRequest, deadline: float | None = None) -> InferenceResult:
            return await client.infer(call, service, caller, deadline)

        return infer


def _checking(
    infer: Callable[..., Awaitable[InferenceResult]], options: QueryOptions
) -> Callable[[InferenceRequest], Awaitable[InferenceResult]]:
    """`infer`, failing for an answer that is not the JSON which `response_format` asks for."""
    wanted = options.get("response_format")
    if wanted is None:
        return infer
    read = promised_json(wanted, "response_format")

    async def infer_and_check(call: InferenceRequest) -> InferenceResult:
        result = await infer(call)
        try:
            read(result.value)
        except NotAsPromised as error:
            failure = MalformedError(ErrorKind.INVALID_RESPONSE, str(error), paid=replace(result, value=""))
            failure.event_id, failure.was_sent = result.event_id, True
            raise failure from None
        return result

    return infer_and_check


def _reader(service: Service, *, details: bool) -> Callable[[InferenceResult], Any]:
    if not details:
        return _text
    price = service.price or list_price(service.model)
    return lambda result: _answer(result, _text(result), price, texts=1)


def _vector_reader(service: Service, *, details: bool) -> Callable[[InferenceResult], list[Any]]:
    if not details:
        return vectors_of
    price = service.price or list_price(service.model)

    def read(result: InferenceResult) -> list[Any]:
        vectors = vectors_of(result)
        return [_answer(result, vector, price, texts=len(vectors)) for vector in vectors]

    return read


def _answer(result: InferenceResult, value: T, price: Price | None, *, texts: int) -> Answer[T]:
    tokens = result.usage
    has_cost = price is not None and (tokens.input_tokens is not None or tokens.output_tokens is not None)
    return Answer(
        value=value,
        tokens=tokens,
        cost_usd=price.exact_cost_usd(tokens) if price is not None and has_cost else None,
        model=result.model,
        event_id=result.event_id,
        request_id=result.request_id,
        finish_reason=result.finish_reason,
        attempts=result.attempts,
        latency_ms=result.latency_ms,
        texts=texts,
    )


def _text(result: InferenceResult) -> str:
    assert isinstance(result.value, str)
    return result.value


def _reporting(
    answer: Callable[[Call], Awaitable[T]],
    total: int,
    texts_in: Callable[[Call], int],
    progress: Callable[[int, int], None] | None,
) -> Callable[[Call], Awaitable[T]]:
    """`answer`, reporting each call that was answered or failed."""
    if progress is None:
        return answer
    report, done = progress, 0

    def add(call: Call) -> None:
        nonlocal done
        done += texts_in(call)
        report(done, total)

    async def answer_and_report(call: Call) -> T:
        try:
            answered = await answer(call)
        except CallError:
            add(call)
            raise
        add(call)
        return answered

    return answer_and_report
