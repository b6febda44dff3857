"""From an attempt to its usage record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway_batch.errors import CallError
from gateway_batch.types import HttpReply, InferenceResult, Service
from gateway_batch.usage.record import (
    ClientMetadata,
    InvocationMetadata,
    TokenDetails,
    UsageRecord,
)

ANSWERED = "answered"
NO_ANSWER = "no_answer"
UNKNOWN = "unknown"


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


def intended(
    caller: Caller, service: Service, tags: dict[str, str], *, event_id: str, attempt: int, now: float
) -> UsageRecord:
    """The record of an attempt about to be sent: true as it stands if nothing more is ever known of it."""
    return UsageRecord(
        account_id=caller.account_id,
        workspace_id=caller.workspace_id,
        request_id=event_id,
        invocation_id=event_id,
        endpoint_name=service.endpoint,
        event_time=datetime.fromtimestamp(now, UTC),
        requester=caller.requester,
        requester_type="USER" if caller.requester else None,
        url=service.url,
        user_agent=caller.user_agent,
        api_type=service.api,
        request_tags=tags,
        service_type="MODEL_SERVICE",
        service_name=service.model if service.model.count(".") == 2 else None,
        invocation_metadata=InvocationMetadata(source=caller.source),
        client_metadata=ClientMetadata(
            event_id=event_id,
            outcome=UNKNOWN,
            attempt=attempt,
            application_id=caller.application_id,
            query_execution_id=caller.query_execution_id,
            stage_id=caller.stage_id,
            partition_id=caller.partition_id,
            task_attempt=caller.task_attempt,
        ),
    )


def note_reply(record: UsageRecord, reply: HttpReply, latency_ms: int) -> None:
    """An answer arrived whole, whatever it says."""
    assert record.client_metadata is not None
    record.client_metadata.outcome = ANSWERED
    record.status_code = reply.status
    record.latency_ms = latency_ms
    record.request_id = reply.request_id or record.request_id
    record.response_content_type = reply.headers.get("content-type")


def note_result(record: UsageRecord, result: InferenceResult) -> None:
    """The answer was a result: its model and tokens."""
    usage = result.usage
    record.destination_model = result.model
    record.input_tokens = usage.input_tokens
    record.output_tokens = usage.output_tokens
    record.total_tokens = usage.total_tokens
    details = (usage.cache_read_tokens, usage.cache_creation_tokens, usage.reasoning_tokens)
    if details != (None, None, None):
        record.token_details = TokenDetails(
            cache_read_input_tokens=details[0],
            cache_creation_input_tokens=details[1],
            output_reasoning_tokens=details[2],
        )
    if usage.total_tokens is not None:
        assert record.client_metadata is not None
        record.client_metadata.token_source = "provider"


def note_failure(record: UsageRecord, error: CallError, latency_ms: int) -> None:
    """The attempt failed, with an answer or without."""
    assert record.client_metadata is not None
    record.client_metadata.error_kind = error.kind.value
    if record.client_metadata.outcome != ANSWERED:
        record.client_metadata.outcome = NO_ANSWER
        record.latency_ms = latency_ms
