"""What a record of the usage table says, and what its tokens cost by a table of prices: in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Record = dict[str, Any]

AGENTS = {
    "codex": "codex",
    "claude": "claude-code",
    "gemini": "gemini-cli",
    "opencode": "opencode",
    "cursor": "cursor",
}
FRAMEWORKS = {
    "langchain": "langchain",
    "langgraph": "langgraph",
    "agents/python": "openai-agents",
    "pydantic-ai": "pydantic-ai",
    "ai-sdk": "ai-sdk",
    "databricks-agents": "databricks-agents",
}
"""Those of the generated days."""


def day_of(row: Record) -> date | None:
    time: datetime | None = row["event_time"]
    return None if time is None else time.astimezone(UTC).date()


def hour_of(row: Record) -> datetime | None:
    time: datetime | None = row["event_time"]
    return None if time is None else time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def model_of(row: Record) -> str | None:
    name: str | None = row["destination_model"]
    if name is None:
        return None
    name = name.strip().lower()
    for prefix in ("system.ai.", "databricks-"):
        name = name.removeprefix(prefix)
    for character in "._":
        name = name.replace(character, " ")
    words = name.split(" ")
    return "-".join(word for place, word in enumerate(words) if word or place in (0, len(words) - 1))


def agent_of(row: Record) -> str | None:
    program = (row["user_agent"] or "").lower()
    for part, agent in AGENTS.items():
        if part in program:
            return agent
    found: str | None = (row["session_metadata"] or {}).get("coding_agent")
    return found


def session_field(name: str) -> Callable[[Record], str | None]:
    return lambda row: (row["session_metadata"] or {}).get(name)


def framework_of(row: Record) -> str | None:
    program = (row["user_agent"] or "").lower()
    return next((name for part, name in FRAMEWORKS.items() if part in program), None)


def is_subagent(row: Record) -> bool:
    return session_field("client_subagent_id")(row) is not None


def source_of(row: Record) -> str | None:
    found: str | None = (row["invocation_metadata"] or {}).get("source")
    return found


def requester_of(row: Record) -> str | None:
    found: str | None = row["requester"]
    return found


def tags_of(row: Record) -> list[tuple[str | None, str | None]]:
    return list(row["request_tags"] or []) or [(None, None)]


def with_possible_tokens(row: Record) -> Record:
    """A record in which counts that no request can have are unknown."""
    found = {name: _possible(row[name]) for name in ("input_tokens", "output_tokens", "total_tokens")}
    details = row["token_details"] and {name: _possible(count) for name, count in row["token_details"].items()}
    return {**row, **found, "token_details": details}


def _possible(count: int | None) -> int | None:
    return count if count is not None and 0 <= count <= 100_000_000 else None


def detail(row: Record, name: str) -> int | None:
    found: int | None = (row["token_details"] or {}).get(name)
    return found


def is_tool_call(row: Record) -> bool:
    if row["service_type"] is not None:
        return bool(row["service_type"] == "MCP_SERVICE")
    return any(value is not None for value in (row["mcp_metadata"] or {}).values())


class Prices:
    """A table of prices, asked for a row's. They hold for whole UTC days."""

    def __init__(self, prices: Iterable[Record]) -> None:
        self._of: dict[Any, list[Record]] = defaultdict(list)
        for price in prices:
            first, end = (time and time.astimezone(UTC).date() for time in (price["valid_from"], price["valid_to"]))
            if end is None or end > first:
                dated = price | {"first_day": first, "end_day": end}
                self._of[price["endpoint_name"], price["model"]].append(dated)

    def price_of(self, row: Record) -> Record | None:
        endpoint, model, day = row["endpoint_name"], model_of(row), day_of(row)
        if source_of(row) == "AI_FUNCTIONS":
            return None
        levels = [(endpoint, None), (None, model)]
        if endpoint is not None and model is not None:
            levels.insert(0, (endpoint, model))
        for level in levels:
            begun = [
                price
                for price in self._of.get(level, ())
                if level != (None, None) and day is not None and price["first_day"] <= day
            ]
            if begun and day is not None:
                last = max(begun, key=lambda price: (price["first_day"], price["valid_from"], price["added_at"]))
                if last["end_day"] is None or day < last["end_day"]:
                    return last
        return None

    def cost_usd(self, row: Record) -> Decimal | None:
        price = self.price_of(row)
        if price is None or not has_tokens(row):
            return None
        parts = {name: price[f"{name}_usd_per_million"] for name in ("input", "output", "cache_read", "cache_creation")}
        if parts["input"] is None or parts["output"] is None:
            return None
        read, made = (detail(row, f"cache_{name}_input_tokens") or 0 for name in ("read", "creation"))
        millionths = (plain_input(row) or 0) * parts["input"] + (row["output_tokens"] or 0) * parts["output"]
        millionths += read * (parts["input"] if parts["cache_read"] is None else parts["cache_read"])
        millionths += made * (parts["input"] if parts["cache_creation"] is None else parts["cache_creation"])
        return Decimal(millionths) / 1_000_000


def plain_input(row: Record) -> int | None:
    if row["input_tokens"] is None:
        return None
    read, made = (detail(row, f"cache_{name}_input_tokens") or 0 for name in ("read", "creation"))
    return max(int(row["input_tokens"]) - read - made, 0)


def has_tokens(row: Record) -> bool:
    return any(row[name] is not None for name in ("input_tokens", "output_tokens", "total_tokens"))
