"""The dimensions: columns that figures are grouped by, in the views and in the aggregate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column that invocations are grouped by.

    Attributes:
        name: in every view and table.
        type: of Spark SQL.
        meaning: a sentence for the column's comment.
    """

    name: str
    type: str
    meaning: str


DIMENSIONS = (
    Column("workspace_id", "STRING", "Workspace of the called endpoint."),
    Column("endpoint_name", "STRING", "Endpoint as the caller wrote it."),
    Column("service_name", "STRING", "Three-part name of the service; NULL where a plain endpoint was called."),
    Column("model", "STRING", "Model that answered, spelled as in usage_invocations; NULL where the call was refused "
           "before it was routed, and for tools."),
    Column("destination_type", "STRING", "Pay-per-token, provisioned throughput or external; NULL as for model."),
    Column("requester", "STRING", "User or service principal; NULL where it is not known."),
    Column("requester_type", "STRING", "USER, SERVICE_PRINCIPAL or USER_GROUP."),
    Column("api_type", "STRING", "Wire format of the call."),
    Column("source", "STRING", "Where the call came from: AI_QUERY, EXTERNAL_CLIENT, GUARDRAIL, ..."),
    Column("request_tags", "MAP<STRING, STRING>", "Tags of the request."),
    Column("status_code", "INT", "Final HTTP status; NULL where it is not known."),
    Column("coding_agent", "STRING", "claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; "
           "NULL for other callers."),
    Column("is_subagent", "BOOLEAN", "Whether it is a call of an agent's subagent."),
    Column("agent_framework", "STRING", "Framework that the calling agent is built with, by the User-Agent; NULL where "
           "none is known."),
    Column("smart_router", "STRING", "Smart router that chose the model; NULL where none did."),
    Column("is_mcp", "BOOLEAN", "Whether it is a call of an MCP server."),
    Column("mcp_server_type", "STRING", "Kind of MCP server."),
    Column("mcp_method", "STRING", "Its JSON-RPC method, such as tools/call."),
    Column("mcp_tool", "STRING", "Its tool; NULL for other methods and other calls."),
)  # fmt: skip
"""Every dimension, in the views' order. A cell of the aggregate is a day's combination of them."""

TAG = (
    Column("tag_key", "STRING", "Key of the tag; NULL for invocations without tags."),
    Column("tag_value", "STRING", "Value of the tag; NULL for invocations without tags."),
)
"""The columns of a view with one row per request tag."""

NAMES = tuple(column.name for column in DIMENSIONS)


def hashed() -> list[str]:
    """Spark SQL: the arguments of the hash that identifies a row's cell.

    xxhash64 skips NULLs, so each column's isnull is hashed too. Tags in another order may give another cell.
    """
    columns = [f"{name}, isnull({name})" for name in NAMES if name != "request_tags"]
    return [*columns, "map_keys(request_tags), map_values(request_tags), isnull(request_tags)"]


def is_same(left: str, right: str, names: Iterable[str]) -> list[str]:
    """Spark SQL: one condition per column that joins rows of two relations with equal values, NULL included."""
    return [f"{left}.{name} <=> {right}.{name}" for name in names]


IS_TAGGED = "coalesce(size(request_tags), 0) > 0"
"""Spark SQL: whether a request carries any tag."""
