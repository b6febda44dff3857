"""Asks an endpoint one tiny, real question, once, and says what was asked and what came back.

It goes through the transport of rows and is recorded as they are, as it costs what it costs. Where the spool can't be
written it is asked all the same: the check is about the endpoint, and says that there is no record.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from gateway_batch.apis import api_for, task_of
from gateway_batch.apis.reading import read_answer
from gateway_batch.apis.secrets import hide_token
from gateway_batch.config import GatewayConfig, system_user
from gateway_batch.config.extra_fields import EVENT_ID_HEADER
from gateway_batch.engine.addressing import Address, address_of, addressed, with_tags
from gateway_batch.errors import CallError, ErrorKind, LedgerError
from gateway_batch.transport import Transport, open_transport
from gateway_batch.types import (
    AnyRequest,
    EmbeddingRequest,
    HttpRequest,
    InferenceRequest,
    InferenceResult,
    RecordRequest,
    Service,
    Task,
)
from gateway_batch.usage import attempts
from gateway_batch.usage.record import UsageRecord
from gateway_batch.usage.spool import SpoolWriter, prepare
from gateway_batch.version import USER_AGENT

QUESTION = "Reply with OK."
MOST_TOKENS = 16  # fewer are refused by OpenAI's Responses

_SOURCE = "EXTERNAL_CLIENT"
_WITHIN_S = 60.0
_LONGEST_MESSAGE = 300
_LIMITS = ("max_tokens", "max_completion_tokens")
"""What chat models of one API call the limit of their answer: a model that refuses the first is asked with the next."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the question.

    Attributes:
        ok: whether rows would be answered.
        says: what was asked and what came back; names secrets by reference, and may echo none.
        not_found: whether the server knows no such route or model.
        address: what its requests carry, its secrets in clear.
    """

    ok: bool
    says: str
    not_found: bool
    address: Address


def ask(config: GatewayConfig, service: Service, spool_dir: Path) -> Outcome:
    """Asks the question.

    Raises:
        ConfigError: a secret can't be resolved, or the question can't be built.
    """
    address = address_of(service, config.credentials())
    return asyncio.run(_ask(config, service, address, spool_dir))


async def _ask(config: GatewayConfig, service: Service, address: Address, spool_dir: Path) -> Outcome:
    transport = open_transport(config.transport, USER_AGENT, config.max_answer_mb << 20)
    spool, unrecorded = _open_spool(config, spool_dir)
    caller = attempts.Caller(
        source=_SOURCE,
        user_agent=USER_AGENT,
        requester=config.requester or system_user(),
        account_id=config.account_id,
        workspace_id=config.workspace_id,
    )
    asking = _Asking(config, service, address, caller, transport, spool)
    try:
        outcome = await asking.outcome()
    finally:
        await transport.close()
        if spool is not None:
            with contextlib.suppress(LedgerError):  # the record is on disk, and the next flush finds it
                spool.close()
    if unrecorded is not None:
        return Outcome(outcome.ok, f"{outcome.says}; not recorded: {unrecorded}", outcome.not_found, address)
    return outcome


def _open_spool(config: GatewayConfig, spool_dir: Path) -> tuple[SpoolWriter | None, str | None]:
    try:
        prepare(spool_dir)
        return SpoolWriter(spool_dir, asyncio.get_running_loop().call_soon, table=config.usage_table), None
    except LedgerError as error:
        return None, str(error)


@dataclass(slots=True)
class _Asking:
    config: GatewayConfig
    service: Service
    address: Address
    caller: attempts.Caller
    transport: Transport
    spool: SpoolWriter | None

    async def outcome(self) -> Outcome:
        """Of the question with the first limit that the model takes."""
        tried: list[str] = []
        for limit in _LIMITS:
            call = _question(self.service, limit, self.config.request_tags)
            tried.append(_asked(call))
            try:
                result = await self._send(call)
            except CallError as error:
                if limit == _LIMITS[0] and _refuses(limit, error, call):
                    continue
                return self._failed(tried, error)
            return Outcome(
                True, f"{self._where('answers')}; {_and_then(tried)}, got {_got(result)}", False, self.address
            )
        raise AssertionError("the last limit has an outcome")

    async def _send(self, call: AnyRequest) -> InferenceResult:
        api = api_for(self.service.api)
        asked = api.build(with_tags(call, call.tags, self.service), self.service)
        request = addressed(asked, call, self.service, self.caller, self.address)
        record = attempts.Intents().record(
            self.caller,
            self.service,
            dict(call.tags),
            event_id=attempts.new_event_id(),
            attempt=1,
            now=time.time(),
            authorization=request.headers.get("authorization"),
        )
        assert record.invocation_id is not None
        headers = {**request.headers, EVENT_ID_HEADER: record.invocation_id}
        sent = HttpRequest(request.url, request.body, headers, request.query_is_secret)
        if self.spool is not None:
            self.spool.intend(record)
        started = time.monotonic()
        try:
            return await self._answer(sent, call, record, started)
        except CallError as error:
            attempts.note_failure(record, error, _ms_since(started))
            if error.paid is not None:
                attempts.note_result(record, error.paid)
            raise
        finally:
            if self.spool is not None:
                self.spool.settle(record)

    async def _answer(
        self, sent: HttpRequest, call: AnyRequest, record: UsageRecord, started: float
    ) -> InferenceResult:
        within_s = min(self.service.timeout_s or self.config.request_timeout, _WITHIN_S)
        reply = hide_token(await self.transport.send(sent, within_s), *self.address.secrets)
        attempts.note_reply(record, reply, _ms_since(started))
        result = read_answer(api_for(self.service.api), reply, *self.address.secrets)
        attempts.note_result(record, result, call)
        attempts.note_destination(record, self.service)
        return result

    def _where(self, verb: str) -> str:
        took = ", and takes the token" if self.service.credential and verb == "answers" else ""
        return f"{self.service.url} ({self.service.api}) {verb}{took}"

    def _failed(self, tried: list[str], error: CallError) -> Outcome:
        ok, verb = True, "answers"
        match error.kind:
            case ErrorKind.AUTHENTICATION | ErrorKind.PERMISSION:
                ok, verb = False, f"refuses the token ({self._sent_secrets()})"
            case ErrorKind.NOT_FOUND:
                ok, verb = False, "is not known there"
            case ErrorKind.RATE_LIMIT:
                verb = "answers that it is at its rate limit"
            case _ if _is_of_a_model(error):
                pass  # cut off, filtered, refused: the model was asked
            case _ if error.status is None:
                ok, verb = False, "does not answer"
            case _ if task_of(self.service.api) is Task.SCORING and error.kind is ErrorKind.BAD_REQUEST:
                verb = "is there; only a record of its own columns shows whether it works"
            case _:
                ok, verb = False, "does not answer the question"
        says = f"{self._where(verb)}: {_came(error)}; {_and_then(tried)}"
        return Outcome(ok, says, error.kind is ErrorKind.NOT_FOUND, self.address)

    def _sent_secrets(self) -> str:
        extra = [
            name for name, value in self.service.headers + self.service.query if "env:" in value or "file:" in value
        ]
        return ", ".join(filter(None, (self.service.credential, *extra))) or "no token is set"


def _question(service: Service, limit: str, tags: dict[str, str]) -> AnyRequest:
    match task_of(service.api):
        case Task.CHAT:
            return InferenceRequest(QUESTION, parameters={limit: MOST_TOKENS}, tags=tags)
        case Task.EMBEDDINGS:
            return EmbeddingRequest((QUESTION,), tags=tags)
        case Task.SCORING:
            return RecordRequest({}, tags=tags)


def _asked(call: AnyRequest) -> str:
    if isinstance(call, RecordRequest):
        return "asked with an empty record"
    if isinstance(call, EmbeddingRequest):
        return f"asked for the vector of {QUESTION!r}"
    (limit,) = call.parameters
    return f"asked {QUESTION!r} with {limit} {MOST_TOKENS}"


def _and_then(tried: list[str]) -> str:
    first, *others = tried
    return f"{first}{''.join(f', which was refused, then {other}' for other in others)}"


def _refuses(limit: str, error: CallError, call: AnyRequest) -> bool:
    """Whether the model wants its limit by another name."""
    return isinstance(call, InferenceRequest) and error.kind is ErrorKind.BAD_REQUEST and limit in str(error)


def _is_of_a_model(error: CallError) -> bool:
    """Whether a model was asked and gave no text: its answer has tokens, or says why it ended."""
    paid = error.paid
    if error.kind is ErrorKind.POLICY:
        return True
    return paid is not None and (bool(paid.usage.total_tokens) or paid.finish_reason is not None)


def _got(result: InferenceResult) -> str:
    usage = result.usage
    if usage.total_tokens is None:
        return "an answer"
    given = "?" if usage.input_tokens is None else usage.input_tokens
    return f"an answer: {given} tokens in, {usage.output_tokens or 0} out"


def _came(error: CallError) -> str:
    """What came back, on one line: the status, the server's words, when it wants to be asked again."""
    says = " ".join(str(error).split())
    says = says if len(says) <= _LONGEST_MESSAGE else f"{says[: _LONGEST_MESSAGE - 1]}…"
    if error.status is not None:
        says = f"HTTP {says}" if says.startswith(str(error.status)) else f"HTTP {error.status}, {says}"
    return says if error.retry_after_s is None else f"{says} (to be asked again in {error.retry_after_s:g} s)"


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
