"""From an attempt to its usage record."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from gateway_batch.errors import CallError
from gateway_batch.types import AnyRequest, HttpReply, InferenceResult, Service
from gateway_batch.usage import databricks_columns
from gateway_batch.usage.missing_tokens import PROVIDER, fill_missing_tokens
from gateway_batch.usage.record import (
    ClientMetadata,
    InvocationMetadata,
    TokenDetails,
    UsageRecord,
)

ANSWERED = "answered"
NO_ANSWER = "no_answer"
UNKNOWN = "unknown"

LONGEST_NAME = 256
"""Characters of a name that a server gives: what a record may grow by is bounded, as room for it is set aside."""

_Row = TypeVar("_Row", UsageRecord, ClientMetadata)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends: the columns that are the same for all requests of a task."""

    source: str
    user_agent: str
    requester: str | None = None
    account_id: str | None = None
    workspace_id: str | None = None
    application_id: str | None = None
    query_execution_id: str | None = None
    stage_id: int | None = None
    partition_id: int | None = None
    task_attempt: int | None = None
    job_id: str | None = None
    job_run_id: str | None = None
    task_run_id: str | None = None
    notebook_path: str | None = None


def new_event_id() -> str:
    """A random UUID, in a third of the time that the standard library takes."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Intents:
    """Makes the records of attempts about to be sent. What a task's records have in common is made once."""

    def __init__(self) -> None:
        self._of: tuple[Caller, Service] | None = None

    def record(
        self,
        caller: Caller,
        service: Service,
        tags: dict[str, str],
        *,
        event_id: str,
        attempt: int,
        now: float,
        authorization: str | None = None,
    ) -> UsageRecord:
        """A record that is true as it stands if nothing more is ever known of the attempt.

        Args:
            caller: who sends.
            service: whom it is sent to.
            tags: of the request.
            event_id: of the attempt.
            attempt: 1 for a row's first.
            now: seconds since the epoch.
            authorization: the header's value, of which only the kind is recorded: that of a task's first attempt.
        """
        if self._of is None or self._of[0] is not caller or self._of[1] is not service:
            self._of = caller, service
            self._record = _known(_record(caller, service, authorization))
            self._client_metadata = _known(_client_metadata(caller))
        metadata = _row(ClientMetadata, {**self._client_metadata, "event_id": event_id, "attempt": attempt})
        return _row(
            UsageRecord,
            {
                **self._record,
                "request_id": event_id,
                "invocation_id": event_id,
                "event_time": datetime.fromtimestamp(now, UTC),
                "request_tags": tags,
                "client_metadata": metadata,
            },
        )


def _record(caller: Caller, service: Service, authorization: str | None) -> UsageRecord:
    return UsageRecord(
        account_id=caller.account_id,
        workspace_id=caller.workspace_id,
        endpoint_name=service.endpoint,
        requester=caller.requester,
        requester_type=databricks_columns.requester_type(caller.requester),
        url=service.url,
        user_agent=caller.user_agent,
        api_type=service.api,
        service_type="MODEL_SERVICE",
        service_name=databricks_columns.service_name(service),
        auth_mode=databricks_columns.auth_mode(service, authorization),
        invocation_metadata=InvocationMetadata(source=caller.source),
    )


def _client_metadata(caller: Caller) -> ClientMetadata:
    return ClientMetadata(
        event_id="",
        outcome=UNKNOWN,
        application_id=caller.application_id,
        query_execution_id=caller.query_execution_id,
        stage_id=caller.stage_id,
        partition_id=caller.partition_id,
        task_attempt=caller.task_attempt,
        job_id=caller.job_id,
        job_run_id=caller.job_run_id,
        task_run_id=caller.task_run_id,
        notebook_path=caller.notebook_path,
    )


def _known(row: UsageRecord | ClientMetadata) -> dict[str, Any]:
    return {name: value for name, value in vars(row).items() if value is not None}


def _row(kind: type[_Row], values: dict[str, Any]) -> _Row:
    """A row without its `__init__`, which takes twice as long; what is left out is the class's own None."""
    row = object.__new__(kind)
    row.__dict__ = values
    return row


def note_reply(record: UsageRecord, reply: HttpReply, latency_ms: int) -> None:
    """An answer arrived whole, whatever it says."""
    assert record.client_metadata is not None
    record.client_metadata.outcome = ANSWERED
    record.status_code = reply.status
    record.latency_ms = latency_ms
    record.request_id = _name(reply.request_id) or record.request_id
    record.response_content_type = _name(reply.headers.get("content-type"))


def note_result(record: UsageRecord, result: InferenceResult, call: AnyRequest | None = None) -> None:
    """The answer says what it took: its model and tokens.

    Args:
        record: of the attempt.
        result: what was answered, or paid for a failure.
        call: what was asked, where the answer was a result: tokens that it does not report are estimated.
    """
    usage = result.usage
    record.destination_model = _name(result.model)
    input_tokens, output_tokens, total = usage.input_tokens, usage.output_tokens, usage.total_tokens
    source = None if total is None else PROVIDER
    if call is not None and (input_tokens is None or output_tokens is None or total is None):
        input_tokens, output_tokens, total, source = fill_missing_tokens(usage, call, result.value)
    record.input_tokens, record.output_tokens, record.total_tokens = input_tokens, output_tokens, total
    details = (usage.cache_read_tokens, usage.cache_creation_tokens, usage.reasoning_tokens)
    if details != (None, None, None):
        record.token_details = TokenDetails(
            cache_read_input_tokens=details[0],
            cache_creation_input_tokens=details[1],
            output_reasoning_tokens=details[2],
        )
    if source is not None:
        assert record.client_metadata is not None
        record.client_metadata.token_source = source
    if usage.service_tier is not None and record.invocation_metadata is not None:
        record.invocation_metadata = InvocationMetadata(
            source=record.invocation_metadata.source, service_tier=usage.service_tier
        )
    if usage.other is not None:
        assert record.client_metadata is not None
        record.client_metadata.other_usage = dict(usage.other)


def note_destination(record: UsageRecord, service: Service) -> None:
    """The service's own model gave the result."""
    kind, name = databricks_columns.destination(service)
    if kind is not None:
        record.destination_type, record.destination_name = kind, name


def _name(name: str | None) -> str | None:
    return name if name is None else name[:LONGEST_NAME]


def note_failure(record: UsageRecord, error: CallError, latency_ms: int) -> None:
    """The attempt failed, with an answer or without."""
    assert record.client_metadata is not None
    record.client_metadata.error_kind = error.kind.value
    if record.client_metadata.outcome != ANSWERED:  # of an answer that was not read to its end the status is known
        record.client_metadata.outcome = NO_ANSWER if error.status is None else ANSWERED
        record.status_code = error.status
        record.latency_ms = latency_ms
