"""What the web page computes its figures from: the usage of some days, grouped so that any filter can be applied to it.

Its size depends on the values of its dimensions, not on the number of requests. Counts are exact under any filter: a
request is counted once whatever of its invocations a filter leaves, because requests whose invocations fall into the
same cells are one group. Percentiles come from logarithmic buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

_BUCKETS = pa.list_(pa.struct([("bucket", pa.int32()), ("invocations", pa.int64())]))

CELLS = pa.schema(
    [
        ("cell", pa.int32()),  # number of the row
        ("day", pa.date32()),
        ("workspace_id", pa.string()),
        ("endpoint_name", pa.string()),
        ("model", pa.string()),
        ("requester", pa.string()),
        ("request_tags", pa.map_(pa.string(), pa.string())),
        ("status_code", pa.int32()),
        ("coding_agent", pa.string()),
        ("is_subagent", pa.bool_()),
        ("agent_framework", pa.string()),
        ("smart_router", pa.string()),
        ("is_mcp", pa.bool_()),
        ("mcp_server_type", pa.string()),
        ("mcp_method", pa.string()),
        ("mcp_tool", pa.string()),
        ("invocations", pa.int64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("total_tokens", pa.int64()),
        ("cache_read_input_tokens", pa.int64()),
        ("cost_usd", pa.decimal128(38, 12)),  # NULL where no tokens are priced
        ("unpriced_tokens", pa.int64()),
        ("hours", _BUCKETS),  # bucket is the hour of the UTC day
        ("latencies", _BUCKETS),
        ("first_bytes", _BUCKETS),
    ]
)
"""Columns of the cells: a row for each day and values of the dimensions. Token sums are 0 where none are known."""

GROUPS = pa.schema([("request_group", pa.int32()), ("cell", pa.int32()), ("requests", pa.int64())])
"""Columns of the groups: `requests` requests have invocations in each of the group's cells and in no other.

A group's rows have the same number of requests; most groups have one row.
"""


SESSIONS = pa.schema(
    [
        ("coding_agent", pa.string()),
        ("requester", pa.string()),
        ("session_id", pa.string()),
        ("day", pa.date32()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("seconds", pa.float64()),
        ("subagents", pa.int64()),
        ("requests", pa.int64()),
        ("total_tokens", pa.int64()),
        ("priced_cost_usd", pa.decimal128(38, 12)),
        ("unpriced_tokens", pa.int64()),
    ]
)
"""Columns of the sessions of coding agents, as the view `coding_agents_sessions` has them."""


@dataclass(frozen=True)
class UsageCube:
    """The usage of some days.

    Attributes:
        cells: a table of `CELLS`.
        groups: a table of `GROUPS`.
        sessions: a table of `SESSIONS`: those that cost most, the dearest first.
        usage_table: what it was read from.
        made_at: when, UTC.
        first_day, last_day: of the usage, both included; no usage in between is possible.
    """

    cells: pa.Table
    groups: pa.Table
    sessions: pa.Table
    usage_table: str
    made_at: datetime
    first_day: date
    last_day: date
