"""Sessions of coding agents: how calls belong together whose callers name none, and what the views say of each."""

from __future__ import annotations

from gateway_batch.figures.cells import DAY, SUMS
from gateway_batch.figures.dimensions import DIMENSIONS, Column

GAP_MINUTES = 30
"""A call of an agent by a requester begins a session after so long without another one."""

TOP = 1_000
"""Sessions that cost most, in the view of these and on the dashboard."""

_DIMENSIONS = {column.name: column for column in DIMENSIONS}

KEYS = ("coding_agent", "requester", "client_session_id")
"""What all calls of a session have in common."""

_TOKEN_KEYS = (
    Column("client_subagent_id", "STRING", ""),
    *(_DIMENSIONS[name] for name in ("endpoint_name", "model", "source")),
    Column("has_tokens", "BOOLEAN", ""),
)
_TOKEN_SUMS = tuple(column for column in SUMS if column.name != "output_reasoning_tokens")
TOKEN_KEYS = tuple(column.name for column in _TOKEN_KEYS)
"""What a part's tokens are told apart by: subagents and models are counted, endpoints and sources have prices."""
TOKEN_SUMS = tuple(column.name for column in _TOKEN_SUMS)
"""The token counts of a part."""

_TOKENS = ", ".join(f"{column.name}: {column.type}" for column in (*_TOKEN_KEYS, *_TOKEN_SUMS))

PARTS = (
    DAY,
    _DIMENSIONS["coding_agent"],
    _DIMENSIONS["requester"],
    Column("client_session_id", "STRING", "Conversation that the caller names; NULL where it names none."),
    Column("started_at", "TIMESTAMP", "When the first of its calls on the day was received."),
    Column("ended_at", "TIMESTAMP", "When the last of them was received."),
    Column("invocations", "BIGINT", "Rows of the usage table."),
    Column("requests", "BIGINT", "Distinct requests of these."),
    Column("failed_requests", "BIGINT", "Of these, with an invocation that failed."),
    Column("tokens", f"ARRAY<STRUCT<{_TOKENS}>>", "Token sums by subagent, endpoint, model, source, and whether any "
           "are known."),
)  # fmt: skip
"""The columns of the view `usage_session_parts` and of the table `usage_daily_sessions`, in order."""

COLUMNS: tuple[str | tuple[str, str], ...] = (
    "coding_agent",
    "requester",
    ("session_id", "What the caller names; else gap- and the second in which it began. Unique for an agent and a "
     "requester."),
    ("is_named", "Whether the caller names it."),
    ("day", "UTC date of its first call."),
    ("started_at", "When its first call was received."),
    ("ended_at", "When its last call was received."),
    ("seconds", "Between the two."),
    "invocations",
    "requests",
    "failed_requests",
    ("subagents", "Distinct subagents that the caller names."),
    ("models", "Distinct models that answered."),
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cost_usd",
    "priced_cost_usd",
    "unpriced_tokens",
)  # fmt: skip
"""The columns of a session: names of figures and dimensions, or pairs of a name and its comment."""
