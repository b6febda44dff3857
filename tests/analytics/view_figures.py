"""The figures of the usage views, worked out apart from them: in plain Python, a row at a time, from the same records.

Each function gives a view's rows as dicts. Percentiles and ratios are exact fractions, money is decimals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.analytics.record_figures import (
    Prices,
    Record,
    agent_of,
    day_of,
    detail,
    has_tokens,
    hour_of,
    is_tool_call,
    model_of,
    plain_input,
    tags_of,
)

Figures = dict[str, Any]


def grouped(rows: Iterable[Record], key: Callable[[Record], Hashable]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def counted(rows: Sequence[Record]) -> Figures:
    """Requests of some rows, one on each day that has a row of it, and how they ended."""
    statuses: dict[tuple[date | None, str], list[int | None]] = defaultdict(list)
    for row in rows:
        if row["request_id"] is not None:
            statuses[day_of(row), row["request_id"]].append(row["status_code"])
    failed = sum(1 for codes in statuses.values() if any(code is not None and code >= 400 for code in codes))
    unknown = sum(1 for codes in statuses.values() if all(code is None for code in codes))
    return {
        "requests": len(statuses),
        "failed_requests": failed,
        "unknown_requests": unknown,
        "error_rate": Fraction(failed, len(statuses)) if statuses else None,
    }


def total(rows: Sequence[Record], name: str) -> int:
    return sum(row[name] for row in rows if row[name] is not None)


def tokens(rows: Sequence[Record]) -> Figures:
    return {name: total(rows, name) for name in ("input_tokens", "output_tokens", "total_tokens")}


def cached(rows: Sequence[Record]) -> Figures:
    given = total(rows, "input_tokens")
    read = sum(detail(row, "cache_read_input_tokens") or 0 for row in rows)
    return {"cache_read_input_tokens": read, "cache_hit_ratio": Fraction(read, given) if given else None}


def distinct(rows: Sequence[Record], of: Callable[[Record], Any]) -> int:
    return len({of(row) for row in rows} - {None})


def requester_of(row: Record) -> str | None:
    found: str | None = row["requester"]
    return found


def users(rows: Sequence[Record]) -> Figures:
    return {"users": distinct(rows, requester_of)}


def sessions(rows: Sequence[Record]) -> Figures:
    return {"client_sessions": distinct(rows, lambda row: (row["session_metadata"] or {}).get("client_session_id"))}


def percentile(values: list[int], percent: int) -> Fraction | None:
    """Interpolated between the two values nearest to (n - 1) p."""
    if not values:
        return None
    place = Fraction((len(values) - 1) * percent, 100)
    below = place.numerator // place.denominator
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def latencies(rows: Sequence[Record], percents: Sequence[int], *, first_byte: bool = True) -> Figures:
    figures: Figures = {}
    for name in ("latency", "time_to_first_byte")[: 2 if first_byte else 1]:
        values = sorted(
            row[f"{name}_ms"] for row in rows if row["status_code"] is not None and row[f"{name}_ms"] is not None
        )
        figures |= {f"{name}_p{percent}_ms": percentile(values, percent) for percent in percents}
    return figures


def costs(rows: Sequence[Record]) -> Figures:
    """Of rows that carry their own `cost_usd`."""
    known = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    unpriced = [row for row in rows if row["cost_usd"] is None and has_tokens(row)]
    return {
        "cost_usd": None if unpriced else sum(known, Decimal(0)),
        "priced_cost_usd": sum(known, Decimal(0)) if known else None,
        "unpriced_invocations": len(unpriced),
        "unpriced_tokens": total(unpriced, "total_tokens"),
    }


def untagged(rows: Sequence[Record]) -> Figures:
    known = [row for row in rows if row["cost_usd"] is not None]
    of_all = sum((row["cost_usd"] for row in known), Decimal(0))
    without = sum((row["cost_usd"] for row in known if not row["request_tags"]), Decimal(0))
    return {
        "untagged_cost_usd": without if known else None,
        "untagged_share": Fraction(without) / Fraction(of_all) if of_all else None,
    }


def with_tags(rows: Iterable[Record]) -> list[Record]:
    """A row for each tag."""
    return [row | {"tag_key": key, "tag_value": value} for row in rows for key, value in tags_of(row)]


Part = Callable[[Sequence[Record]], Figures]


def by(rows: Iterable[Record], keys: Mapping[str, Callable[[Record], Any]], *parts: Part) -> list[Figures]:
    """A row of figures for each group."""
    groups = grouped(rows, lambda row: tuple(of(row) for of in keys.values()))
    figures = []
    for key, group in groups.items():
        row = dict(zip(keys, key, strict=True))
        for part in parts:
            row |= part(group)
        figures.append(row)
    return figures


def field(name: str) -> Callable[[Record], Any]:
    return lambda row: row[name]


def mcp(name: str) -> Callable[[Record], Any]:
    return lambda row: (row["mcp_metadata"] or {}).get(name)


def all_latencies(rows: Sequence[Record]) -> Figures:
    answered = sum(1 for row in rows if row["status_code"] is not None)
    return {"answered_invocations": answered} | latencies(rows, (50, 90, 95, 99))


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
                "source": (row["invocation_metadata"] or {}).get("source"),
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
                "client_session_id": (row["session_metadata"] or {}).get("client_session_id"),
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
        "coding_agents_sessions_daily": lambda: by(agents(), {**day, **agent}, sessions),
    }


def _part_of_hour(part: str) -> Callable[[Record], int | None]:
    def of(row: Record) -> int | None:
        hour = hour_of(row)
        return None if hour is None else hour.hour if part == "hour" else hour.weekday()

    return of
