"""What is known about one request, filled in as it is, and the usage row made from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import Scope

from gateway_batch.devgateway.ask import TokenCounts
from gateway_batch.devgateway.catalogue import DEVELOPER, Service, is_three_part
from gateway_batch.usage.record import (
    Destination,
    EndpointMetadata,
    InvocationMetadata,
    RoutingAttempt,
    RoutingInformation,
    TokenDetails,
    UsageRecord,
)
from gateway_batch.version import AGENT

ACCOUNT_ID = "00000000-0000-4000-8000-000000000000"
WORKSPACE_ID = "1000000000000000"
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Receipt:
    """One request, from its arrival.

    Attributes:
        routed: whether a model was tried.
        status, error_code: of the answer; no status if none was sent.
        tokens: None for a failed call.
        first_byte_ms: since arrival; None until the first byte is about to leave.
    """

    request_id: str
    headers: Mapping[str, str]
    url: str
    ip_address: str | None
    api_type: str
    arrived: datetime
    started: float
    known: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    endpoint_name: str | None = None
    service: Service | None = None
    routed: bool = False
    status: int | None = None
    error_code: str | None = None
    content_type: str | None = None
    tokens: TokenCounts | None = None
    first_byte_ms: int | None = None

    @classmethod
    def of(cls, scope: Scope, api_type: str, request_id: str) -> Self:
        """The receipt of a request that has just arrived."""
        headers = Headers(scope=scope)
        client = scope.get("client")
        return cls(
            request_id=request_id,
            headers=headers,
            url=f"{scope['scheme']}://{headers.get('host', '')}{scope['path']}",
            ip_address=client[0] if client else None,
            api_type=api_type,
            arrived=datetime.now(UTC),
            started=time.perf_counter(),
        )

    @property
    def client_request_id(self) -> str | None:
        """The caller's own id of the request."""
        return self.headers.get("x-client-request-id")

    @property
    def elapsed_ms(self) -> int:
        """Since arrival."""
        return round((time.perf_counter() - self.started) * 1000)

    def usage(self) -> UsageRecord:
        """The row, as of now."""
        latency_ms = self.elapsed_ms
        three_part = self.endpoint_name is not None and is_three_part(self.endpoint_name)
        record = UsageRecord(
            account_id=ACCOUNT_ID,
            workspace_id=WORKSPACE_ID,
            request_id=self.request_id,
            invocation_id=str(uuid4()),
            endpoint_name=self.endpoint_name,
            endpoint_tags={},
            event_time=self.arrived,
            latency_ms=latency_ms,
            ip_address=self.ip_address,
            url=self.url,
            user_agent=self.headers.get("user-agent"),
            api_type=self.api_type,
            request_tags=self.tags,
            response_content_type=self.content_type,
            status_code=self.status,
            service_name=self.endpoint_name if three_part else None,
            service_tags={},
            invocation_metadata=InvocationMetadata(source=self._source()),
        )
        if self.status is not None:
            record.time_to_first_byte_ms = latency_ms if self.first_byte_ms is None else self.first_byte_ms
        self._add_requester(record)
        if self.service is not None:
            _add_service(record, self.service)
        if self.service is not None and self.routed:
            self._add_destination(record, self.service)
        if self.tokens is not None:
            _add_tokens(record, self.tokens)
        return record

    def _add_requester(self, record: UsageRecord) -> None:
        if self.known:
            record.requester = DEVELOPER
            record.requester_type = "USER"
            record.auth_mode = "PAT" if "authorization" in self.headers else None

    def _add_destination(self, record: UsageRecord, service: Service) -> None:
        record.destination_type = service.destination_type
        record.destination_name = service.destination
        record.destination_id = service.destination_id
        record.destination_model = service.model
        attempt = RoutingAttempt(
            priority=1,
            action="INITIAL_ATTEMPT",
            destination=service.destination,
            destination_id=service.destination_id,
            status_code=self.status,
            error_code=self.error_code,
            latency_ms=record.latency_ms,
            start_time=self.arrived,
            end_time=self.arrived + timedelta(milliseconds=record.latency_ms or 0),
        )
        record.routing_information = RoutingInformation(attempts=(attempt,))

    def _source(self) -> str:
        ours = self.headers.get("user-agent", "").startswith(AGENT)
        from_sql = self.headers.get("x-gateway-batch-source") == "AI_QUERY"
        return "AI_QUERY" if ours and from_sql else "EXTERNAL_CLIENT"


def _add_service(record: UsageRecord, service: Service) -> None:
    destination = Destination(
        name=service.destination, destination_type=service.destination_type, traffic_percentage=100
    )
    record.endpoint_id = record.service_id = service.service_id
    record.service_type = "MODEL_SERVICE"
    record.endpoint_metadata = EndpointMetadata(
        creator=service.creator, creation_time=_CREATED, last_updated_time=_CREATED, destinations=(destination,)
    )


def _add_tokens(record: UsageRecord, tokens: TokenCounts) -> None:
    record.input_tokens = tokens.input_tokens
    record.output_tokens = tokens.output_tokens
    record.total_tokens = tokens.total_tokens
    record.token_details = TokenDetails(
        cache_read_input_tokens=tokens.cache_read_tokens or None,
        cache_creation_input_tokens=tokens.cache_creation_tokens or None,
    )
