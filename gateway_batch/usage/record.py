"""One row of the usage table, and the only place that spells its columns.

The columns are those of Databricks' `system.ai_gateway.usage`, with its names, types and order, then one
struct of ours, `client_metadata`, with what only the caller knows.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

Int32 = Annotated[int, "INT"]

SCHEMA_VERSION = 1


@dataclass(kw_only=True)
class Destination:
    """A model behind an endpoint."""

    name: str | None = None
    destination_type: str | None = None
    traffic_percentage: Int32 | None = None


@dataclass(kw_only=True)
class EndpointMetadata:
    """The endpoint's configuration at the time of the call."""

    creator: str | None = None
    creation_time: datetime | None = None
    last_updated_time: datetime | None = None
    destinations: tuple[Destination, ...] | None = None
    inference_table: str | None = None
    fallbacks: tuple[Destination, ...] | None = None


@dataclass(kw_only=True)
class TokenDetails:
    """Parts of the token counts; None where the provider did not report one."""

    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_reasoning_tokens: int | None = None


@dataclass(kw_only=True)
class RoutingAttempt:
    """One destination that the gateway tried."""

    priority: Int32 | None = None
    action: str | None = None
    destination: str | None = None
    destination_id: str | None = None
    status_code: Int32 | None = None
    error_code: str | None = None
    latency_ms: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(kw_only=True)
class RoutingInformation:
    """What the gateway tried, in order."""

    attempts: tuple[RoutingAttempt, ...] | None = None


@dataclass(kw_only=True)
class McpMetadata:
    """MCP calls only."""

    tool_name: str | None = None
    server_type: str | None = None
    json_rpc_method: str | None = None


@dataclass(kw_only=True)
class InvocationMetadata:
    """Where the call came from: `AI_QUERY` for the SQL function, `EXTERNAL_CLIENT` for other clients."""

    source: str | None = None
    service_tier: str | None = None


@dataclass(kw_only=True)
class SessionMetadata:
    """Groups the calls of a conversation or a coding agent."""

    client_session_id: str | None = None
    client_subagent_id: str | None = None
    coding_agent: str | None = None
    agent_version: str | None = None
    surface: str | None = None
    reasoning_effort: str | None = None
    smart_router_name: str | None = None


@dataclass(kw_only=True)
class ClientMetadata:
    """What only the caller knows; not part of Databricks' table.

    Attributes:
        event_id: made by us for each HTTP attempt, sent as `x-client-request-id`; the row's key.
        outcome: `answered` (an HTTP status arrived), `no_answer` (none did, and the caller knows it),
            `unknown` (the caller died with the request in flight), `imported` (another client's request, from a
            gateway's own record; its event id is made from `request_id` and `invocation_id`).
        error_kind: `gateway_batch.errors.ErrorKind`, None for a success.
        attempt: 1 for a row's first HTTP attempt.
        token_source: `provider`; `estimated` if any of the counts is; `gateway` for an imported row; None where no
            tokens are known.
        other_usage: numbers of the answer's usage block that no column has, as their text, by their path in it.
        query_execution_id: Spark's `spark.sql.execution.root.id`, one per query of an application; an action on an RDD
            has none, there it is the stage, as `stage-3`.
        stage_id, partition_id, task_attempt: the Spark task that sent it.
        job_id, job_run_id, task_run_id: of a Databricks workflow, as `system.lakeflow` has them. Where only the task's
            run is known, it stands for the job's too.
        notebook_path: of the Databricks notebook that ran the query, in a workflow or by hand.
    """

    event_id: str
    outcome: str | None = None
    error_kind: str | None = None
    attempt: Int32 | None = None
    token_source: str | None = None
    other_usage: dict[str, str] | None = None
    application_id: str | None = None
    query_execution_id: str | None = None
    stage_id: Int32 | None = None
    partition_id: Int32 | None = None
    task_attempt: Int32 | None = None
    job_id: str | None = None
    job_run_id: str | None = None
    task_run_id: str | None = None
    notebook_path: str | None = None


@dataclass(kw_only=True)
class UsageRecord:
    """One HTTP attempt at one call: one row of the usage table.

    Columns 1-38 mirror `system.ai_gateway.usage` (Databricks docs, *Track model usage*; 31-38 as seen on live
    tables). None means not known or not applicable, never zero. Times are UTC. `input_tokens` includes cached ones,
    `output_tokens` includes reasoning.
    """

    account_id: str | None = None
    workspace_id: str | None = None
    request_id: str | None = None
    invocation_id: str | None = None
    schema_version: Int32 | None = SCHEMA_VERSION
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    endpoint_tags: dict[str, str] | None = None
    endpoint_metadata: EndpointMetadata | None = None
    event_time: datetime | None = None
    latency_ms: int | None = None
    time_to_first_byte_ms: int | None = None
    destination_type: str | None = None
    destination_name: str | None = None
    destination_id: str | None = None
    destination_model: str | None = None
    requester: str | None = None
    requester_type: str | None = None
    ip_address: str | None = None
    url: str | None = None
    user_agent: str | None = None
    api_type: str | None = None
    request_tags: dict[str, str] | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    token_details: TokenDetails | None = None
    response_content_type: str | None = None
    status_code: Int32 | None = None
    routing_information: RoutingInformation | None = None
    service_type: str | None = None
    service_name: str | None = None
    service_tags: dict[str, str] | None = None
    mcp_metadata: McpMetadata | None = None
    invocation_metadata: InvocationMetadata | None = None
    service_id: str | None = None
    session_metadata: SessionMetadata | None = None
    auth_mode: str | None = None
    client_metadata: ClientMetadata | None = None


MIRRORED_COLUMNS = tuple(field.name for field in fields(UsageRecord))[:-1]

_SCALARS = {str: "STRING", int: "BIGINT", bool: "BOOLEAN", datetime: "TIMESTAMP", Decimal: "DECIMAL(18, 6)"}


def columns(row: type) -> Iterator[tuple[str, str]]:
    """Each column's name and SQL type, in order."""
    for name, hint in get_type_hints(row, include_extras=True).items():
        yield name, _sql_type(hint)


def structs(row: type) -> Iterator[tuple[str, type, bool]]:
    """Each column that holds structs: its name, their type, and whether it is a list of them."""
    for name, hint in get_type_hints(row, include_extras=True).items():
        if get_origin(hint) in (Union, types.UnionType):
            (hint,) = (argument for argument in get_args(hint) if argument is not types.NoneType)
        is_list = get_origin(hint) is tuple
        inner = get_args(hint)[0] if is_list else hint
        if is_dataclass(inner) and isinstance(inner, type):
            yield name, inner, is_list


def _sql_type(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _sql_type(inner)
    if origin is Annotated:
        return str(arguments[1])
    if origin is dict:
        return f"MAP<{_sql_type(arguments[0])}, {_sql_type(arguments[1])}>"
    if origin is tuple:
        return f"ARRAY<{_sql_type(arguments[0])}>"
    if is_dataclass(hint) and isinstance(hint, type):
        inner_fields = ", ".join(f"{name}: {sql_type}" for name, sql_type in columns(hint))
        return f"STRUCT<{inner_fields}>"
    return _SCALARS[hint]
