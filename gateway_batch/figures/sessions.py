"""Sessions of coding agents: how calls belong together whose callers name none, and what the views say of each."""

from __future__ import annotations

GAP_MINUTES = 30
"""A call of an agent by a requester begins a session after so long without another one."""

TOP = 1_000
"""Sessions that cost most, in the view of these and on the dashboard."""

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
