"""Every figure: its name, its meaning, and how it is computed.

A figure aggregates one of three relations. `requests` has one row per group of requests and combination of dimensions,
with the sums of its invocations (`grouped_columns`). `cells` has the rows of `usage_cells` or `usage_costs`, and
`spreads` those of `usage_distributions`. The SQL is Spark's; sums and counts run in DuckDB too. The web page computes
its figures from `Figure.as_data`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

from gateway_batch.figures import outcomes, percentiles


class Relation(StrEnum):
    """The relation that a figure aggregates."""

    REQUESTS = "requests"
    CELLS = "cells"
    SPREADS = "spreads"


class Outcome(StrEnum):
    """Which requests to count; the value is a condition on the relation `requests`."""

    ANY = "true"
    FAILED = "is_failed"
    UNKNOWN = "NOT is_answered"


@dataclass(frozen=True, slots=True)
class Requests:
    """The number of requests. A request counts once per day, whichever of its invocations a filter leaves."""

    outcome: Outcome = Outcome.ANY

    kind: ClassVar[str] = "requests"
    relation: ClassVar[Relation] = Relation.REQUESTS
    columns: ClassVar[tuple[str, ...]] = ()

    @property
    def sql(self) -> str:
        """The aggregate."""
        only = "" if self.outcome is Outcome.ANY else f" FILTER (WHERE {self.outcome})"
        return f"coalesce(sum(requests){only}, 0)"


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum; 0 where nothing is known. `known` names a column of `spreads` that must not be NULL."""

    column: str
    known: str = ""

    kind: ClassVar[str] = "sum"

    @property
    def relation(self) -> Relation:
        """The relation that it aggregates."""
        return Relation.SPREADS if self.known else Relation.REQUESTS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.known,) if self.known else (self.column,)

    @property
    def sql(self) -> str:
        """The aggregate."""
        only = f" FILTER (WHERE {self.known} IS NOT NULL)" if self.known else ""
        return f"coalesce(sum({self.column}){only}, 0)"


@dataclass(frozen=True, slots=True)
class Cost:
    """A sum of dollars: NULL, not 0, where no tokens have a price."""

    column: str = "cost_usd"

    kind: ClassVar[str] = "cost"
    relation: ClassVar[Relation] = Relation.REQUESTS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return tuple(dict.fromkeys(("cost_usd", self.column)))

    @property
    def sql(self) -> str:
        """The aggregate."""
        if self.column == "cost_usd":
            return "sum(cost_usd)"
        return f"CASE WHEN count(cost_usd) > 0 THEN coalesce(sum({self.column}), 0) END"


@dataclass(frozen=True, slots=True)
class WholeCost:
    """A sum of dollars: NULL where any of the tokens have no price."""

    kind: ClassVar[str] = "whole_cost"
    relation: ClassVar[Relation] = Relation.REQUESTS
    columns: ClassVar[tuple[str, ...]] = ("cost_usd", "unpriced_invocations")
    sql: ClassVar[str] = "CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END"


@dataclass(frozen=True, slots=True)
class Distinct:
    """The number of distinct values of a column, NULL left out."""

    column: str

    kind: ClassVar[str] = "distinct"
    relation: ClassVar[Relation] = Relation.CELLS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column,)

    @property
    def sql(self) -> str:
        """The aggregate."""
        return f"count(DISTINCT {self.column})"


@dataclass(frozen=True, slots=True)
class Extreme:
    """The lowest or highest value of a column; `which` is `min` or `max`."""

    which: str
    column: str

    kind: ClassVar[str] = "extreme"
    relation: ClassVar[Relation] = Relation.CELLS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column,)

    @property
    def sql(self) -> str:
        """The aggregate."""
        return f"{self.which}({self.column})"


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of a time column."""

    column: str
    percent: int

    kind: ClassVar[str] = "percentile"
    relation: ClassVar[Relation] = Relation.SPREADS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.column,)

    @property
    def sql(self) -> str:
        """The aggregate."""
        return percentiles.percentile(self.column, self.percent)


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure divided by another; NULL where that is 0.

    Attributes:
        above, below: names of two figures of the same relation.
        is_money: whether they are dollars: a quotient of decimals would be rounded.
    """

    above: str
    below: str
    is_money: bool = False

    kind: ClassVar[str] = "ratio"

    @property
    def relation(self) -> Relation:
        """The relation that both aggregate."""
        return FIGURES[self.above].computed.relation

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that both read."""
        return tuple(name for each in (self.above, self.below) for name in FIGURES[each].computed.columns)

    @property
    def sql(self) -> str:
        """The quotient of the two aggregates."""
        return self._of(FIGURES[self.above].computed.sql, FIGURES[self.below].computed.sql)

    @property
    def of_figures(self) -> str:
        """The quotient of two columns that hold the figures."""
        return self._of(self.above, self.below)

    def _of(self, above: str, below: str) -> str:
        below = f"nullif({below}, 0)"
        return f"CAST({above} AS DOUBLE)\n    / CAST({below} AS DOUBLE)" if self.is_money else f"{above} / {below}"

    def value(self, above: float, below: float) -> float | None:
        """The quotient of two numbers; None where `below` is 0."""
        return above / below if below else None


Computed = Requests | Sum | Cost | WholeCost | Distinct | Extreme | Percentile | Ratio


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Attributes:
        name: of its column, in every view and table.
        meaning: a sentence without its period.
        computed: how it is computed.
        null: when it is NULL; empty for a figure that never is.
    """

    name: str
    meaning: str
    computed: Computed
    null: str = ""

    @property
    def comment(self) -> str:
        """The comment on its column."""
        return f"{self.meaning}; NULL {self.null}." if self.null else f"{self.meaning}."

    @property
    def as_data(self) -> dict[str, Any]:
        """How it is computed, as JSON values for the web page."""
        outcome = {"outcome": self.computed.outcome.name.lower()} if isinstance(self.computed, Requests) else {}
        return {"kind": self.computed.kind, **asdict(self.computed), **outcome}


def _percentile(column: str, what: str, percent: int) -> Figure:
    name = f"{column.removesuffix('_ms')}_p{percent}_ms"
    return Figure(name, f"Milliseconds to {what}, {_ORDINALS[percent]}", Percentile(column, percent), _NO_TIMES)


_ORDINALS = {50: "median", 90: "90th percentile", 95: "95th percentile", 99: "99th percentile"}
_NO_TIMES = "where no invocation has a status"
_WHATS = dict(zip(percentiles.TIMES, ("the end of the answer", "the first byte of the answer"), strict=True))

_ALL = (
    Figure("requests", "Distinct requests of each UTC day, failed and unknown ones included", Requests()),
    Figure("failed_requests", f"Requests with an invocation of status {outcomes.FAILED_FROM} or more",
           Requests(Outcome.FAILED)),
    Figure("unknown_requests", "Requests without any status: nobody saw the answer", Requests(Outcome.UNKNOWN)),
    Figure("error_rate", "Failed requests divided by requests", Ratio("failed_requests", "requests"),
           "without requests"),
    Figure("invocations", "Rows of the usage table, fallbacks and guardrails included", Sum("invocations")),
    Figure("answered_invocations", "Invocations with a status, over which percentiles are computed",
           Sum("answered_invocations")),
    Figure("input_tokens", "Tokens of prompts, cached ones included", Sum("input_tokens")),
    Figure("output_tokens", "Tokens of answers, reasoning included", Sum("output_tokens")),
    Figure("total_tokens", "Tokens of prompts and answers", Sum("total_tokens")),
    Figure("cache_read_input_tokens", "Input tokens read from the provider's cache", Sum("cache_read_input_tokens")),
    Figure("cache_hit_ratio", "Input tokens read from the provider's cache, divided by input tokens",
           Ratio("cache_read_input_tokens", "input_tokens"), "without input tokens"),
    Figure("users", "Distinct requesters, service principals included", Distinct("requester")),
    Figure("active_days", "Distinct UTC days with an invocation", Distinct("day")),
    Figure("first_day", "First of these days", Extreme("min", "day"), "where no row has a time"),
    Figure("last_day", "Last of these days", Extreme("max", "day"), "where no row has a time"),
    Figure("cost_usd", "US dollars by the table of prices", WholeCost(), "if some of the tokens have no price"),
    Figure("priced_cost_usd", "US dollars of the tokens with a price, by the table of prices", Cost(),
           "if none has"),
    Figure("unpriced_invocations", "Invocations whose tokens have no price", Sum("unpriced_invocations")),
    Figure("unpriced_tokens", "Tokens without a price, which are not in the cost", Sum("unpriced_tokens")),
    Figure("untagged_cost_usd", "US dollars of requests without a tag", Cost("untagged_cost_usd"),
           "if no tokens have a price"),
    Figure("untagged_share", "Share of the cost whose requests carry no tag",
           Ratio("untagged_cost_usd", "priced_cost_usd", is_money=True), "where nothing is priced, or all is free"),
    *(_percentile(column, what, percent) for column, what in _WHATS.items() for percent in percentiles.PERCENTS),
    Figure("invocations_by_hour", "Rows of the usage table that have a time", Sum("invocations", known="hour_of_day")),
)  # fmt: skip

FIGURES = {figure.name: figure for figure in _ALL}
"""Every figure, by its name."""

_OF_REQUEST_GROUP = {
    "requests": "max(requests)",
    "is_failed": "bool_or(is_failed)",
    "is_answered": "bool_or(is_answered)",
}
UNTAGGED_COST_USD = "CASE WHEN NOT is_tagged THEN cost_usd END"
"""SQL: the cost of a row that carries no tag; NULL of others."""

_OTHER_COLUMNS = {
    "answered_invocations": "sum(invocations) FILTER (WHERE is_answered)",
    "untagged_cost_usd": f"sum({UNTAGGED_COST_USD})",
}


def grouped_columns(names: Iterable[str]) -> dict[str, str]:
    """Spark SQL: the columns of the relation `requests` that some figures need, by name.

    They aggregate rows of `usage_cells` grouped by day, request group and dimensions. A request failed if any of these
    invocations did; it is unknown if none of them has a status.
    """
    wanted = [FIGURES[name].computed for name in names]
    columns = dict.fromkeys(column for each in wanted if each.relation is Relation.REQUESTS for column in each.columns)
    return _OF_REQUEST_GROUP | {name: _OTHER_COLUMNS.get(name, f"sum({name})") for name in columns}


COST_COLUMNS = frozenset({"cost_usd", "unpriced_tokens", "unpriced_invocations", "untagged_cost_usd"})
"""Columns of the relation `requests` that `usage_costs` has and `usage_cells` has not."""


def has_costs(names: Iterable[str]) -> bool:
    """Whether any of these figures needs the columns of `usage_costs`."""
    return any(column in COST_COLUMNS for name in names for column in FIGURES[name].computed.columns)
