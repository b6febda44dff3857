"""Figures of the usage dashboard: what each is called, how it is written, and how it is computed in SQL.

The SQL is over one of three relations, which `gateway_batch.dashboard.datasets` makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """How a figure is written."""

    COUNT = "count"
    SHARE = "share"
    MILLISECONDS = "milliseconds"
    DOLLARS = "dollars"


class Relation(StrEnum):
    """What a figure is computed from.

    Attributes:
        REQUESTS: a row for each group of requests in the values of the dimensions, with sums of their invocations.
        CELLS: the rows of `usage_cells`.
        SPREADS: the rows of `usage_distributions`.
    """

    REQUESTS = "requests"
    CELLS = "cells"
    SPREADS = "spreads"


@dataclass(frozen=True)
class Measure:
    """A figure.

    Attributes:
        name: as in the views' columns.
        title: on tiles, axes and in the heads of tables.
        format: how it is written.
        relation: what it is computed from.
        sql: an aggregate over that relation.
        rise_is: whether a higher one is good (1), bad (-1) or neither (0).
        note: what a reader has to know about it.
    """

    name: str
    title: str
    format: Format
    relation: Relation
    sql: str
    rise_is: int = 0
    note: str = ""


def _percentile(column: str, percent: int) -> str:
    return f"percentile({column}, {percent / 100}, invocations)"


def _latency(percent: int) -> Measure:
    return Measure(
        f"latency_p{percent}_ms", f"Latency P{percent}", Format.MILLISECONDS, Relation.SPREADS,
        _percentile("latency_ms", percent), rise_is=-1, note="To the end of the answer, of invocations with a status.",
    )  # fmt: skip


def _first_byte(percent: int) -> Measure:
    return Measure(
        f"time_to_first_byte_p{percent}_ms", f"First byte P{percent}", Format.MILLISECONDS, Relation.SPREADS,
        _percentile("time_to_first_byte_ms", percent), rise_is=-1, note="To the first byte of the answer.",
    )  # fmt: skip


_COUNT, _SHARE, _DOLLARS = Format.COUNT, Format.SHARE, Format.DOLLARS
_REQUESTS, _CELLS, _SPREADS = Relation.REQUESTS, Relation.CELLS, Relation.SPREADS

_ALL = (
    Measure("requests", "Requests", _COUNT, _REQUESTS, "coalesce(sum(requests), 0)",
            note="Distinct requests of each day, failed and unknown ones included."),
    Measure("failed_requests", "Failed requests", _COUNT, _REQUESTS,
            "coalesce(sum(requests) FILTER (WHERE is_failed), 0)", rise_is=-1,
            note="Requests with an invocation of status 400 or more."),
    Measure("unknown_requests", "Unknown requests", _COUNT, _REQUESTS,
            "coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0)", rise_is=-1,
            note="Requests without any status: nobody saw the answer."),
    Measure("error_rate", "Error rate", _SHARE, _REQUESTS,
            "coalesce(sum(requests) FILTER (WHERE is_failed), 0) / nullif(sum(requests), 0)", rise_is=-1,
            note="Failed requests by requests."),
    Measure("invocations", "Invocations", _COUNT, _REQUESTS, "coalesce(sum(invocations), 0)",
            note="Rows of the usage table, of fallbacks and guardrails too."),
    Measure("input_tokens", "Input tokens", _COUNT, _REQUESTS, "coalesce(sum(input_tokens), 0)",
            note="Cached ones included."),
    Measure("output_tokens", "Output tokens", _COUNT, _REQUESTS, "coalesce(sum(output_tokens), 0)",
            note="Reasoning included."),
    Measure("total_tokens", "Tokens", _COUNT, _REQUESTS, "coalesce(sum(total_tokens), 0)", note="Input and output."),
    Measure("cache_read_input_tokens", "Cached input tokens", _COUNT, _REQUESTS,
            "coalesce(sum(cache_read_input_tokens), 0)", note="Read from the provider's cache."),
    Measure("cache_hit_ratio", "Cache hit ratio", _SHARE, _REQUESTS,
            "sum(cache_read_input_tokens) / nullif(sum(input_tokens), 0)", rise_is=1,
            note="Cached input tokens by input tokens."),
    Measure("users", "Users", _COUNT, _CELLS, "count(DISTINCT requester)",
            note="Distinct requesters, service principals included."),
    Measure("active_days", "Active days", _COUNT, _CELLS, "count(DISTINCT day)", note="UTC days with an invocation."),
    Measure("priced_cost_usd", "Cost", _DOLLARS, _REQUESTS, "sum(cost_usd)", rise_is=-1,
            note="An estimate by the table of prices; tokens without a price are not in it."),
    Measure("unpriced_tokens", "Unpriced tokens", _COUNT, _REQUESTS, "coalesce(sum(unpriced_tokens), 0)",
            rise_is=-1, note="Tokens without a price; not in the cost."),
    Measure("untagged_cost_usd", "Untagged cost", _DOLLARS, _REQUESTS,
            "CASE WHEN count(cost_usd) > 0 THEN coalesce(sum(untagged_cost_usd), 0) END",
            rise_is=-1, note="Of requests that carry no tag."),
    Measure("untagged_share", "Untagged share", _SHARE, _REQUESTS,
            "CAST(coalesce(sum(untagged_cost_usd), 0) AS DOUBLE) / CAST(nullif(sum(cost_usd), 0) AS DOUBLE)",
            rise_is=-1, note="Part of the cost whose requests carry no tag."),
    *(_latency(percent) for percent in (50, 90, 95, 99)),
    *(_first_byte(percent) for percent in (50, 90, 95, 99)),
    Measure("invocations_by_hour", "Invocations", _COUNT, _SPREADS,
            "coalesce(sum(invocations) FILTER (WHERE hour_of_day IS NOT NULL), 0)",
            note="Rows of the usage table, of fallbacks and guardrails too."),
)  # fmt: skip

MEASURES = {measure.name: measure for measure in _ALL}
"""Every figure, by its name."""
