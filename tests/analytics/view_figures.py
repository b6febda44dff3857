"""The figures of the usage views, worked out apart from them: in plain Python, a row at a time, from the same records.

Each function gives a view's rows as dicts. Percentiles and ratios are exact fractions, money is decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction

from tests.analytics.figure_parts import (
    Figures,
    all_latencies,
    by,
    cached,
    costs,
    counted,
    distinct,
    field,
    grouped,
    latencies,
    mcp,
    tokens,
    untagged,
    users,
    with_tags,
)
from tests.analytics.record_figures import (
    Prices,
    Record,
    agent_of,
    day_of,
    detail,
    framework_of,
    has_tokens,
    hour_of,
    is_subagent,
    is_tool_call,
    model_of,
    plain_input,
    requester_of,
    session_field,
    source_of,
)
from tests.analytics.session_figures import most_expensive, session_parts_of, sessions_of, sessions_of_days


def users_of_days(rows: Iterable[Record]) -> list[Figures]:
    seen: dict[date, set[str]] = defaultdict(set)
    for row in rows:
        day = day_of(row)
        if day is not None and row["requester"] is not None:
            seen[day].add(row["requester"])

    def within(day: date, days: int) -> int:
        return len(set[str]().union(*(seen.get(day - timedelta(days=ago), set()) for ago in range(days))))

    return [
        {"day": day, "users": within(day, 1), "users_7_days": within(day, 7), "users_28_days": within(day, 28)}
        for day in seen
    ]


def statuses_of_days(rows: Sequence[Record]) -> list[Figures]:
    days = {day: len(group) for day, group in grouped(rows, day_of).items()}
    figures = by(
        rows,
        {"day": day_of, "status_code": field("status_code")},
        lambda group: {"invocations": len(group), "requests": distinct(group, field("request_id"))},
    )
    return [row | {"share": Fraction(row["invocations"], days[row["day"]])} for row in figures]


def active_days(rows: Sequence[Record]) -> Figures:
    days = sorted({day for row in rows if (day := day_of(row)) is not None})
    return {
        "active_days": len(days),
        "first_day": days[0] if days else None,
        "last_day": days[-1] if days else None,
    }


def invocations_of(rows: Iterable[Record]) -> list[Figures]:
    """Each record, and what `usage_invocations` derives of it."""
    figures = []
    for row in rows:
        hour = hour_of(row)
        figures.append(
            row
            | {
                "day": day_of(row),
                "hour": hour,
                "hour_of_day": None if hour is None else hour.hour,
                "weekday": None if hour is None else hour.weekday(),
                "model": model_of(row),
                "source": source_of(row),
                "is_tagged": bool(row["request_tags"]),
                "is_answered": row["status_code"] is not None,
                "is_failed": row["status_code"] is not None and row["status_code"] >= 400,
                "latency_ms": None if row["status_code"] is None else row["latency_ms"],
                "time_to_first_byte_ms": None if row["status_code"] is None else row["time_to_first_byte_ms"],
                "cache_read_input_tokens": detail(row, "cache_read_input_tokens"),
                "cache_creation_input_tokens": detail(row, "cache_creation_input_tokens"),
                "plain_input_tokens": plain_input(row),
                "has_tokens": has_tokens(row),
                "output_reasoning_tokens": detail(row, "output_reasoning_tokens"),
                "is_mcp": is_tool_call(row),
                "mcp_tool": mcp("tool_name")(row),
                "mcp_method": mcp("json_rpc_method")(row),
                "mcp_server_type": mcp("server_type")(row),
                "coding_agent": agent_of(row),
                "is_subagent": is_subagent(row),
                "agent_framework": framework_of(row),
                "smart_router": session_field("smart_router_name")(row),
                "client_session_id": session_field("client_session_id")(row),
                "client_subagent_id": session_field("client_subagent_id")(row),
            }
        )
    return figures


def cells_of(rows: Iterable[Record]) -> list[Figures]:
    """What `usage_cells` has where there is no aggregate: a row for each record."""
    return [
        row
        | {
            "cell": None,
            "request_group": row["request_id"],
            "requests": int(row["request_id"] is not None),
            "invocations": 1,
            "invocations_with_tokens": int(row["has_tokens"]),
        }
        for row in invocations_of(rows)
    ]


def costs_of(rows: Iterable[Record], prices: Prices) -> list[Figures]:
    figures = []
    for row in cells_of(rows):
        price, cost = prices.price_of(row), prices.cost_usd(row)
        is_unpriced = cost is None and has_tokens(row)
        figures.append(
            row
            | {
                "cost_usd": cost,
                "price_source": price["source"] if price is not None and has_tokens(row) else None,
                "unpriced_invocations": int(is_unpriced),
                "unpriced_tokens": row["total_tokens"] if is_unpriced else 0,
            }
        )
    return figures


def distributions_of(rows: Iterable[Record]) -> list[Figures]:
    """What `usage_distributions` has where there is no aggregate: a row for each record."""
    times = ("latency_ms", "time_to_first_byte_ms")
    return [
        row | {"invocations": 1} | {name: None if row[name] is None else float(row[name]) for name in times}
        for row in invocations_of(rows)
    ]


def figures_of(rows: list[Record], prices: Iterable[Record]) -> dict[str, Callable[[], list[Figures]]]:
    """What gives the rows of each view."""
    asked = Prices(prices)
    day = {"day": day_of}
    endpoint, requester = {"endpoint_name": field("endpoint_name")}, {"requester": requester_of}
    tag = {"tag_key": field("tag_key"), "tag_value": field("tag_value")}
    model, agent = {"model": model_of}, {"coding_agent": agent_of}
    hours = {"hour": hour_of, **day, "hour_of_day": _part_of_hour("hour"), "weekday": _part_of_hour("weekday")}
    tool = {"mcp_server_type": mcp("server_type"), "mcp_method": mcp("json_rpc_method"), "mcp_tool": mcp("tool_name")}
    workspace = {"workspace_id": field("workspace_id")}
    router = session_field("smart_router_name")

    def priced() -> list[Record]:
        return [row | {"cost_usd": asked.cost_usd(row)} for row in rows]

    def tools() -> list[Record]:
        return [row for row in rows if is_tool_call(row)]

    def agents() -> list[Record]:
        return [row for row in rows if agent_of(row) is not None]

    def tool_latency(group: Sequence[Record]) -> Figures:
        return latencies(group, (50, 95), first_byte=False)

    def invocations(group: Sequence[Record]) -> Figures:
        return {"invocations": len(group)}

    usage = (counted, tokens, cached)
    return {
        "usage_invocations": lambda: invocations_of(rows),
        "usage_cells": lambda: cells_of(rows),
        "usage_distributions": lambda: distributions_of(rows),
        "usage_session_parts": lambda: session_parts_of(rows),
        "overview_daily": lambda: by(rows, day, *usage, users, invocations),
        "overview_hourly": lambda: by(rows, hours, counted, tokens),
        "overview_users_daily": lambda: users_of_days(rows),
        "performance_daily": lambda: by(rows, day, counted, all_latencies),
        "performance_endpoints_daily": lambda: by(rows, {**day, **endpoint, **model}, counted, all_latencies),
        "performance_status_daily": lambda: statuses_of_days(rows),
        "usage_endpoints_daily": lambda: by(rows, {**day, **endpoint}, *usage, users),
        "usage_models_daily": lambda: by(rows, {**day, **model}, *usage, users),
        "usage_workspaces_daily": lambda: by(rows, {**day, **workspace}, *usage, users),
        "usage_requesters_daily": lambda: by(rows, {**day, **requester}, *usage),
        "usage_tags_daily": lambda: by(with_tags(rows), {**day, **tag}, counted, tokens),
        "usage_costs": lambda: costs_of(rows, asked),
        "cost_daily": lambda: by(priced(), day, costs, untagged),
        "cost_endpoints_daily": lambda: by(priced(), {**day, **endpoint}, costs),
        "cost_models_daily": lambda: by(priced(), {**day, **model}, costs),
        "cost_requesters_daily": lambda: by(priced(), {**day, **requester}, costs),
        "cost_tags_daily": lambda: by(with_tags(priced()), {**day, **tag}, costs),
        "mcp_daily": lambda: by(tools(), day, counted, users, tool_latency),
        "mcp_servers_daily": lambda: by(tools(), {**day, **endpoint, **tool}, counted, users, tool_latency),
        "coding_agents_daily": lambda: by(agents(), {**day, **agent, **model}, *usage, users),
        "coding_agents_users": lambda: by(agents(), {**agent, **requester}, active_days, counted, tokens),
        "coding_agents_sessions": lambda: sessions_of(priced()),
        "coding_agents_sessions_daily": lambda: sessions_of_days(rows, sessions_of(priced())),
        "coding_agents_top_sessions": lambda: most_expensive(sessions_of(priced())),
        "coding_agents_subagents_daily": lambda: by(
            agents(), {**day, **agent, "is_subagent": is_subagent}, *usage, users
        ),
        "agent_frameworks_daily": lambda: by(
            [row for row in rows if framework_of(row)], {**day, "agent_framework": framework_of, **model}, *usage, users
        ),
        "smart_routing_daily": lambda: by(
            [row for row in priced() if router(row)],
            {**day, "smart_router": router, **endpoint, **model},
            counted,
            tokens,
            users,
            costs,
        ),
    }


def _part_of_hour(part: str) -> Callable[[Record], int | None]:
    def of(row: Record) -> int | None:
        hour = hour_of(row)
        return None if hour is None else hour.hour if part == "hour" else hour.weekday()

    return of
