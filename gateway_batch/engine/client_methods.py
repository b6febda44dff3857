"""The methods of `gb.Client` that send calls: those that wait, and their twins to await."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Unpack, overload

from gateway_batch.engine.call_options import EmbedOptions, ManyQueryOptions, QueryOptions
from gateway_batch.engine.client_calls import ClientCalls, Work
from gateway_batch.errors import CallError
from gateway_batch.types import Answer


class BlockingMethods:
    """Calls that return when they are answered; in a notebook, too, whose own event loop is running."""

    _calls: ClientCalls

    @overload
    def query(
        self, endpoint: str, request: str, *, details: Literal[False] = False, **options: Unpack[QueryOptions]
    ) -> str: ...
    @overload
    def query(
        self, endpoint: str, request: str, *, details: Literal[True], **options: Unpack[QueryOptions]
    ) -> Answer[str]: ...
    def query(
        self, endpoint: str, request: str, *, details: bool = False, **options: Unpack[QueryOptions]
    ) -> str | Answer[str]:
        """A chat model's answer to one prompt.

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            request: the prompt.
            details: return an `Answer`, with tokens, cost and event id, in place of the text.
            options: see `QueryOptions`.

        Raises:
            CallError: no attempt was answered, or none is due after the last one's failure.
            ConfigError: an argument is wrong, the endpoint is not configured, or its token can't be had.
            LedgerError: an attempt could not be recorded; it was not sent.
            RuntimeError: the client is closed.
        """
        work: Work[str | Answer[str]] = self._calls.query(endpoint, request, options, details=details)
        return self._calls.wait_for(work)

    @overload
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[False] = False,
        **options: Unpack[ManyQueryOptions],
    ) -> list[str]: ...
    @overload
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[False] = False,
        **options: Unpack[ManyQueryOptions],
    ) -> list[str | CallError]: ...
    @overload
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[True],
        **options: Unpack[ManyQueryOptions],
    ) -> list[Answer[str]]: ...
    @overload
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[True],
        **options: Unpack[ManyQueryOptions],
    ) -> list[Answer[str] | CallError]: ...
    def query_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool = True,
        details: bool = False,
        **options: Unpack[ManyQueryOptions],
    ) -> Sequence[str | Answer[str] | CallError]:
        """A chat model's answers to many prompts, in their order, as many at once as `max_concurrency` allows.

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            requests: the prompts.
            fail_on_error: the first failed call ends it all; False puts each failed call's error in its answer's place.
            details: return an `Answer` for each prompt, with tokens, cost and event id, in place of its text.
            options: see `QueryOptions` and `Progress`; the same for all prompts.

        Raises:
            CallError: with `fail_on_error`; else as `query`.
        """
        work: Work[Sequence[str | Answer[str] | CallError]] = self._calls.query_many(
            endpoint, requests, options, fail_on_error=fail_on_error, details=details
        )
        return self._calls.wait_for(work)

    @overload
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[False] = False,
        **options: Unpack[EmbedOptions],
    ) -> list[list[float]]: ...
    @overload
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[False] = False,
        **options: Unpack[EmbedOptions],
    ) -> list[list[float] | CallError]: ...
    @overload
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[True],
        **options: Unpack[EmbedOptions],
    ) -> list[Answer[list[float]]]: ...
    @overload
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[True],
        **options: Unpack[EmbedOptions],
    ) -> list[Answer[list[float]] | CallError]: ...
    def embed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool = True,
        details: bool = False,
        **options: Unpack[EmbedOptions],
    ) -> Sequence[list[float] | Answer[list[float]] | CallError]:
        """A vector for each text, in their order. Several texts share a request (`embedding_rows` of the endpoint).

        Args:
            endpoint: an entry of `endpoints`, else a model service of `host`.
            texts: any number of them.
            fail_on_error: the first text that fails by itself ends it all; False puts its error in its vector's place.
            details: return an `Answer` for each text, with the details of its request, in place of the vector.
            options: see `CallOptions` and `Progress`.

        Raises:
            CallError: with `fail_on_error`; else as `query`.
        """
        work: Work[Sequence[list[float] | Answer[list[float]] | CallError]] = self._calls.embed(
            endpoint, texts, options, fail_on_error=fail_on_error, details=details
        )
        return self._calls.wait_for(work)


class AwaitedMethods:
    """Calls to await on any event loop; cancelling the awaiting task stops its call."""

    _calls: ClientCalls

    @overload
    async def aquery(
        self, endpoint: str, request: str, *, details: Literal[False] = False, **options: Unpack[QueryOptions]
    ) -> str: ...
    @overload
    async def aquery(
        self, endpoint: str, request: str, *, details: Literal[True], **options: Unpack[QueryOptions]
    ) -> Answer[str]: ...
    async def aquery(
        self, endpoint: str, request: str, *, details: bool = False, **options: Unpack[QueryOptions]
    ) -> str | Answer[str]:
        """As `query`."""
        work: Work[str | Answer[str]] = self._calls.query(endpoint, request, options, details=details)
        return await self._calls.awaited(work)

    @overload
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[False] = False,
        **options: Unpack[ManyQueryOptions],
    ) -> list[str]: ...
    @overload
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[False] = False,
        **options: Unpack[ManyQueryOptions],
    ) -> list[str | CallError]: ...
    @overload
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[True],
        **options: Unpack[ManyQueryOptions],
    ) -> list[Answer[str]]: ...
    @overload
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[True],
        **options: Unpack[ManyQueryOptions],
    ) -> list[Answer[str] | CallError]: ...
    async def aquery_many(
        self,
        endpoint: str,
        requests: Iterable[str],
        *,
        fail_on_error: bool = True,
        details: bool = False,
        **options: Unpack[ManyQueryOptions],
    ) -> Sequence[str | Answer[str] | CallError]:
        """As `query_many`."""
        work: Work[Sequence[str | Answer[str] | CallError]] = self._calls.query_many(
            endpoint, requests, options, fail_on_error=fail_on_error, details=details
        )
        return await self._calls.awaited(work)

    @overload
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[False] = False,
        **options: Unpack[EmbedOptions],
    ) -> list[list[float]]: ...
    @overload
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[False] = False,
        **options: Unpack[EmbedOptions],
    ) -> list[list[float] | CallError]: ...
    @overload
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: Literal[True] = True,
        details: Literal[True],
        **options: Unpack[EmbedOptions],
    ) -> list[Answer[list[float]]]: ...
    @overload
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool,
        details: Literal[True],
        **options: Unpack[EmbedOptions],
    ) -> list[Answer[list[float]] | CallError]: ...
    async def aembed(
        self,
        endpoint: str,
        texts: Iterable[str],
        *,
        fail_on_error: bool = True,
        details: bool = False,
        **options: Unpack[EmbedOptions],
    ) -> Sequence[list[float] | Answer[list[float]] | CallError]:
        """As `embed`."""
        work: Work[Sequence[list[float] | Answer[list[float]] | CallError]] = self._calls.embed(
            endpoint, texts, options, fail_on_error=fail_on_error, details=details
        )
        return await self._calls.awaited(work)
