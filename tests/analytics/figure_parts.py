"""Figures of records, in plain Python: percentiles and ratios as exact fractions, money as decimals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.analytics.record_figures import Record, day_of, detail, has_tokens, requester_of, tags_of

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


def users(rows: Sequence[Record]) -> Figures:
    return {"users": distinct(rows, requester_of)}


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
