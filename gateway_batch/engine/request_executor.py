"""One call with its policy: limits, attempts, retries, and the record of each attempt.

`RequestExecutor.infer` holds the only loop over attempts in the package.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import orjson

from gateway_batch.admission import Limiter, Size, Slot
from gateway_batch.apis import api_for
from gateway_batch.apis.endings import check_whole_json
from gateway_batch.apis.parameters import most_output
from gateway_batch.apis.reading import read_answer
from gateway_batch.apis.refused_api import wants_responses
from gateway_batch.apis.refused_parameters import RefusedParameters, refused_optional, refused_parameter, without
from gateway_batch.apis.registry import Api
from gateway_batch.apis.secrets import hide_token
from gateway_batch.config import Credentials
from gateway_batch.config.extra_fields import EVENT_ID_HEADER
from gateway_batch.engine.addressing import Address, address_of, addressed, retagged, service_key, with_tags
from gateway_batch.engine.blame import CONSEQUENCES
from gateway_batch.engine.repeated_refusals import RepeatedRefusals
from gateway_batch.engine.retry import RetryPolicy
from gateway_batch.engine.row_patience import RowPatience
from gateway_batch.errors import CallError, ErrorKind, LedgerError, UnreachableError
from gateway_batch.transport import Transport
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    HttpReply,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    Service,
)
from gateway_batch.usage import attempts
from gateway_batch.usage.attempts import Caller
from gateway_batch.usage.record import UsageRecord

_RENEWALS = 2
_MOST_ROUTES = 256

_log = logging.getLogger(__name__)


class Ledger(Protocol):
    """Where attempts are recorded."""

    def intend(self, record: UsageRecord) -> None:
        """Returns once the intent is written; LedgerError if it can't be."""
        ...

    def settle(self, record: UsageRecord) -> None:
        """Takes the outcome of an intended attempt."""
        ...


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How long and how often a call is tried.

    Attributes:
        request_timeout_s: of one HTTP attempt, where the service has no limit of its own.
        row_deadline_s: of all attempts of a call, waiting included.
        max_retry_after_s: a service is waited for at most, whatever it asks for.
        drops_refused_parameters: a call whose model parameter is refused is sent again without it, once.
    """

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    request_timeout_s: float = 600.0
    row_deadline_s: float = 900.0
    max_retry_after_s: float = 300.0
    drops_refused_parameters: bool = False


@dataclass(frozen=True, slots=True)
class _Route:
    """A service with what all its calls need: the name that it has limits by, and its wire format."""

    service: Service
    name: str
    api: Api[Any]


class RequestExecutor:
    """Sends calls. Belongs to one event loop.

    Args:
        transport: the network.
        ledger: has each attempt's intent before its bytes leave, its outcome after.
        limiter: grants the slot of each attempt.
        credentials: resolve the services' tokens.
        policy: how long and how often.
        event_id_tag: a request tag that carries the attempt's event id; None sends none.
        clock: monotonic seconds, the loop's own.
        sleep: waits seconds between attempts.
        rng: in [0, 1), for jitter.
    """

    def __init__(
        self,
        transport: Transport,
        ledger: Ledger,
        limiter: Limiter,
        credentials: Credentials,
        *,
        policy: CallPolicy,
        event_id_tag: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._transport = transport
        self._ledger = ledger
        self._limiter = limiter
        self._credentials = credentials
        self._policy = policy
        self._event_id_tag = event_id_tag
        self._clock = clock
        self._sleep = sleep
        self._rng = rng
        self._intents = attempts.Intents()
        self._refusals = RepeatedRefusals(clock, _asks)
        self._refused_parameters = RefusedParameters()
        self._asked_by_responses: set[str] = set()
        self._routes: dict[int, _Route] = {}

    async def infer(
        self, call: AnyRequest, service: Service, caller: Caller, deadline: float | None = None
    ) -> InferenceResult:
        """The answer to one call.

        Args:
            call: what is asked.
            service: who is.
            caller: who asks.
            deadline: of all attempts, by the clock; None: `row_deadline_s` from now.

        Raises:
            CallError: the last attempt's failure, when no further one is due.
            LedgerError: an attempt could not be recorded; it was not sent.
            ConfigError: the service's token, or a secret in its headers or query, can't be resolved.
        """
        if deadline is None:
            deadline = self._clock() + self._policy.row_deadline_s
        route = self._route(service)
        query = (route.name, caller.query_execution_id)
        if service.responses is not None and route.name in self._asked_by_responses:
            route, call = self._route(service.responses), _without_optional(call)
        may_drop = self._policy.drops_refused_parameters or (isinstance(call, InferenceRequest) and call.optional)
        ask = self._with_what_it_takes if may_drop else self._infer
        self._refusals.check(query, call)
        try:
            try:
                result = await ask(call, route, caller, deadline)
            except CallError as error:
                if not error.wants_responses:
                    raise
                assert service.responses is not None
                result = await ask(_without_optional(call), self._route(service.responses), caller, deadline)
                self._note_responses(route)
        except CallError as error:
            if error.was_sent:
                self._refusals.refused(query, call, error)
            raise
        self._refusals.answered(query, call)
        return result

    def _route(self, service: Service) -> _Route:
        route = self._routes.get(id(service))
        if route is None or route.service is not service:
            if len(self._routes) >= _MOST_ROUTES:
                self._routes.clear()
            route = self._routes[id(service)] = _Route(service, service_key(service), api_for(service.api))
        return route

    def _note_responses(self, route: _Route) -> None:
        """Has the service's calls go to Responses from now on, where one was answered: its word alone is not enough."""
        if route.name not in self._asked_by_responses:
            if len(self._asked_by_responses) >= _MOST_ROUTES:
                self._asked_by_responses.clear()
            self._asked_by_responses.add(route.name)
            _log.warning("%s is asked by Responses from now on, as it says; `api` names that", route.service.endpoint)

    async def _with_what_it_takes(
        self, call: AnyRequest, route: _Route, caller: Caller, deadline: float
    ) -> InferenceResult:
        """The answer to a call, without the model parameters that the service has refused and the call may lack."""
        optional = call.optional if isinstance(call, InferenceRequest) else frozenset[str]()
        drops_any, known = self._policy.drops_refused_parameters, self._refused_parameters.of(route.name)
        call = without(call, known if drops_any else known & optional)
        try:
            return await self._infer(call, route, caller, deadline)
        except CallError as error:
            refused = refused_optional(error, optional & call.parameters.keys()) or error.refused_parameter
            if refused is None or not (drops_any or refused in optional):
                raise
        result = await self._infer(without(call, {refused}), route, caller, deadline)
        if self._refused_parameters.note(route.name, refused):  # the service's word alone is not enough
            _log.warning("%s does not take the parameter %s: calls go out without it", route.service.endpoint, refused)
        return result

    async def _infer(self, call: AnyRequest, route: _Route, caller: Caller, deadline: float) -> InferenceResult:
        """The attempts of a call."""
        service = route.service
        asked = route.api.build(with_tags(call, call.tags, service) if call.tags else call, service)
        address = address_of(service, self._credentials)
        request = addressed(asked, call, service, caller, address)
        size = _size(request, call, service) if self._limiter.counts_tokens else None
        attempt = renewed = 0
        failure: CallError | None = None
        patience: RowPatience | None = None
        timeout_s = service.timeout_s or self._policy.request_timeout_s
        while True:
            attempt += 1
            slot = self._limiter.slot(route.name, deadline, size)
            try:
                async with slot:
                    record = self._intend(request, call, service, caller, attempt, slot)
                    return await self._attempt(route, call, request, record, slot, deadline, address, timeout_s)
            except CallError as error:
                failure = error if failure is None else _after(failure, error)
            if failure.kind is ErrorKind.AUTHENTICATION and renewed < _RENEWALS:
                renewed += 1
                newer = address_of(service, self._credentials)
                if newer != address:  # a secret expired on the way
                    address, request = newer, addressed(asked, call, service, caller, newer)
                    continue
            patience = patience or RowPatience(self._policy.retry, timeout_s, self._rng)
            wait_s, timeout_s = patience.wait_s(failure, slot, deadline - self._clock()), patience.timeout_s
            if wait_s is None or (patience.throttled > 1 and _may_be_too_large(call, failure)):
                raise failure.with_traceback(None)
            if wait_s:
                await self._sleep(wait_s)

    def _intend(
        self, request: HttpRequest, call: AnyRequest, service: Service, caller: Caller, attempt: int, slot: Slot
    ) -> UsageRecord:
        event_id, tags = attempts.new_event_id(), dict(call.tags)
        if self._event_id_tag is not None:
            tags[self._event_id_tag] = event_id
        record = self._intents.record(
            caller,
            service,
            tags,
            event_id=event_id,
            attempt=attempt,
            now=time.time(),
            authorization=request.headers.get("authorization"),
        )
        try:
            self._ledger.intend(record)
        except LedgerError:
            slot.not_sent()
            raise
        return record

    async def _attempt(
        self,
        route: _Route,
        call: AnyRequest,
        request: HttpRequest,
        record: UsageRecord,
        slot: Slot,
        deadline: float,
        address: Address,
        timeout_s: float,
    ) -> InferenceResult:
        started = self._clock()
        assert record.invocation_id is not None
        if self._event_id_tag is not None:
            request = retagged(request, call, route.service, record.request_tags or {})
        headers = {**request.headers, EVENT_ID_HEADER: record.invocation_id}
        timeout_s = max(0.001, min(timeout_s, deadline - started))
        reply: HttpReply | None = None
        try:
            sent = HttpRequest(request.url, request.body, headers, request.query_is_secret)
            reply = hide_token(await self._transport.send(sent, timeout_s), *address.secrets)
            attempts.note_reply(record, reply, self._milliseconds(started))
            result = read_answer(route.api, reply, *address.secrets, prompts=partial(_prompts, call))
            if isinstance(call, InferenceRequest) and call.response_format is not None:
                check_whole_json(result, reply)
            attempts.note_result(record, result, call)
            attempts.note_destination(record, route.service)
            slot.used(result.usage)  # as reported: an estimate binds no limit
            slot.succeeded()
            return _recorded(result, record)
        except CallError as error:
            error.event_id, error.was_sent = record.invocation_id, True
            if reply is not None and error.kind is ErrorKind.BAD_REQUEST:
                error.refused_parameter = refused_parameter(reply.status, reply.body, call.parameters)
            if reply is not None and route.service.responses is not None:
                error.wants_responses = wants_responses(error.status, str(error))
            if error.retry_after_s is not None:
                error.retry_after_s = min(error.retry_after_s, self._policy.max_retry_after_s)
            attempts.note_failure(record, error, self._milliseconds(started))
            if error.paid is not None:
                attempts.note_result(record, error.paid)
                slot.used(error.paid.usage)
            if error.kind is ErrorKind.RATE_LIMIT:
                slot.throttled(error.retry_after_s)
            elif CONSEQUENCES[error.kind].is_of_the_service:
                slot.failed(id(call), is_waited_out=CONSEQUENCES[error.kind].is_waited_out)
            raise
        except BaseException:
            stopped = UnreachableError(ErrorKind.CANCELLED, "stopped by the caller")
            attempts.note_failure(record, stopped, self._milliseconds(started))
            raise
        finally:
            self._ledger.settle(record)

    def _milliseconds(self, since: float) -> int:
        return round((self._clock() - since) * 1000)


def _asks(call: AnyRequest) -> Hashable:
    """What a call has in common with others of its query apart from its service: all but the row's own text."""
    if isinstance(call, InferenceRequest):
        return repr(call.parameters), call.instructions, repr(call.response_format), bool(call.files)
    return repr(call.parameters)


def _without_optional(call: AnyRequest) -> AnyRequest:
    """A call for Responses, which has other words for what is optional in chat completions."""
    return without(call, call.optional) if isinstance(call, InferenceRequest) and call.optional else call


def _prompts(call: AnyRequest) -> tuple[str, ...]:
    """The texts that a call is about."""
    if isinstance(call, InferenceRequest):
        return (call.text, call.instructions or "")
    if isinstance(call, EmbeddingRequest):
        return call.texts
    return (orjson.dumps(call.record, default=dict).decode(errors="replace"),)


def _recorded(result: InferenceResult, record: UsageRecord) -> InferenceResult:
    """The answer with its attempt, and the tokens that are recorded for it: estimates, where it has none."""
    usage, metadata = result.usage, record.client_metadata
    assert metadata is not None
    counts = (record.input_tokens, record.output_tokens, record.total_tokens)
    if counts != (usage.input_tokens, usage.output_tokens, usage.total_tokens):
        given, answered, total = counts
        result.usage = replace(usage, input_tokens=given, output_tokens=answered, total_tokens=total)
    result.event_id, result.request_id = record.invocation_id, record.request_id
    result.attempts, result.latency_ms = metadata.attempt or 1, record.latency_ms
    return result


def _size(request: HttpRequest, call: AnyRequest, service: Service) -> Size:
    if not isinstance(call, InferenceRequest):
        return Size(len(request.body), 0, service.price)
    return Size(len(request.body), most_output(call.parameters), service.price)


def _may_be_too_large(call: AnyRequest, failure: CallError) -> bool:
    """Databricks refuses embedding requests that are too large with 429 as well: then waiting doesn't help."""
    return isinstance(call, EmbeddingRequest) and len(call.texts) > 1 and failure.retry_after_s is None


def _after(last: CallError, error: CallError) -> CallError:
    """An attempt's error; where there was none to be had any more, it says what became of the attempt before."""
    if error.was_sent:
        return error
    failure = copy.copy(error)  # all who wait for a slot may share it
    if error.kind is ErrorKind.DEADLINE:
        failure = UnreachableError(
            ErrorKind.DEADLINE, f"the row's deadline passed; the last attempt failed with: {last}", status=last.status
        )
    failure.event_id, failure.was_sent = last.event_id, last.was_sent
    return failure
