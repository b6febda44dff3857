"""Datasets of the Databricks dashboard: the queries of `datasets`, in the form in which widgets show them.

A tile's also has the figures of the period before. A table's is ordered, a chart's by a dimension has its greatest
values only, and a missing value is written as what it means. Names of views have no schema: the dashboard fills it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway_batch.dashboard.datasets import DAYS, DAYS_BEFORE, Dataset, dataset_of, merged, sessions_sql
from gateway_batch.dashboard.definition import (
    DIMENSIONS,
    FILTERS,
    PAGES,
    Filter,
    HeatMap,
    Only,
    Sessions,
    Table,
    Tile,
    Trend,
    Widget,
)
from gateway_batch.dashboard.measures import MEASURES

COLOURS = 8
"""Values of a dimension that have a colour of their own; the others are one together."""

OTHERS = "(others)"
BEFORE = "_before"
"""What follows a figure's name where it is of the period before."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PREFIXES = {
    Only.ALL: "",
    Only.MCP: "mcp_",
    Only.AGENTS: "agents_",
    Only.FRAMEWORKS: "frameworks_",
    Only.ROUTED: "routed_",
}
_TITLES = {
    Only.ALL: "",
    Only.MCP: "MCP: ",
    Only.AGENTS: "Agents: ",
    Only.FRAMEWORKS: "Frameworks: ",
    Only.ROUTED: "Smart routing: ",
}


class Shape(StrEnum):
    """What the rows of a dataset are, for the kind of widget that shows them."""

    TOTALS = "totals"
    DAYS = "days"
    COLOURED_DAYS = "coloured_days"
    HOURS = "hours"
    ROWS = "rows"


@dataclass(frozen=True)
class LakeviewDataset:
    """A dataset of the dashboard.

    Attributes:
        shape: what its rows are.
        data: which figures of what.
        first: the figure whose greatest values come first; empty where the order doesn't matter.
    """

    shape: Shape
    data: Dataset
    first: str = ""

    @property
    def name(self) -> str:
        """Of the dataset, for queries of widgets; stable."""
        return (
            _PREFIXES[self.data.only]
            + {
                Shape.TOTALS: "totals",
                Shape.DAYS: "days",
                Shape.HOURS: "hours",
                Shape.COLOURED_DAYS: f"{'_'.join(self.data.dimensions)}_{self.first}",
                Shape.ROWS: f"{'_'.join(self.data.dimensions)}_by_{self.first}",
            }[self.shape]
        )

    @property
    def title(self) -> str:
        """For people who open the dashboard's data."""
        names = ", ".join(DIMENSIONS[name].title for name in self.data.dimensions if name in DIMENSIONS)
        order = f" by {MEASURES[self.first].title.lower()}" if self.first else ""
        return (
            _TITLES[self.data.only]
            + {
                Shape.TOTALS: "Totals, with the period before",
                Shape.DAYS: "Days",
                Shape.HOURS: "Hours of the week",
                Shape.COLOURED_DAYS: f"{names}{order}",
                Shape.ROWS: f"{names}{order}",
            }[self.shape]
        )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that its query takes."""
        return ("days", *(each.name for each in FILTERS))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns, in order."""
        before = tuple(f"{name}{BEFORE}" for name in self.data.measures) if self.shape is Shape.TOTALS else ()
        return (*self.data.dimensions, *self.data.measures, *before)

    def sql(self) -> str:
        """The query, one statement."""
        return {
            Shape.TOTALS: self._totals,
            Shape.DAYS: lambda: self.data.sql(""),
            Shape.HOURS: self._hours,
            Shape.COLOURED_DAYS: self._coloured,
            Shape.ROWS: self._rows,
        }[self.shape]()

    def _totals(self) -> str:
        current = [f"asked.{name}" for name in self.data.measures]
        before = [f"earlier.{name} AS {name}{BEFORE}" for name in self.data.measures]
        columns = ",\n  ".join((*current, *before))
        return (
            f"SELECT\n  {columns}\nFROM (\n{self.data.sql('')}\n) AS asked\n"
            f"CROSS JOIN (\n{self.data.sql('', DAYS_BEFORE)}\n) AS earlier"
        )

    def _hours(self) -> str:
        days = ", ".join(f"'{number} {name}'" for number, name in enumerate(_WEEKDAYS, 1))
        figures = ",\n  ".join(self.data.measures)
        return (
            f"SELECT\n  element_at(array({days}), weekday + 1) AS weekday,\n"
            f"  lpad(CAST(hour_of_day AS STRING), 2, '0') AS hour_of_day,\n  {figures}\n"
            f"FROM (\n{self.data.sql('')}\n)\nWHERE weekday IS NOT NULL AND hour_of_day IS NOT NULL"
        )

    def _coloured(self) -> str:
        day, by = self.data.dimensions
        rank = f"row_number() OVER (ORDER BY sum({self.first}) DESC NULLS LAST, {by}) AS place"
        colour = f"CASE WHEN ranks.place <= {COLOURS} THEN {_labelled(by, 'ranks.')} ELSE '{OTHERS}' END AS {by}"
        sums = ",\n  ".join(f"sum(figures.{name}) AS {name}" for name in self.data.measures)
        return (
            f"WITH figures AS (\n{self.data.sql('')}\n), ranks AS (\n"
            f"SELECT {by}, {rank}\nFROM figures\nGROUP BY {by}\n)\n"
            f"SELECT\n  figures.{day},\n  {colour},\n  {sums}\n"
            f"FROM figures\nJOIN ranks ON figures.{by} <=> ranks.{by}\nGROUP BY 1, 2"
        )

    def _rows(self) -> str:
        labels = [f"{_labelled(name)} AS {name}" for name in self.data.dimensions]
        columns = ",\n  ".join((*labels, *self.data.measures))
        order = ", ".join((f"{self.first} DESC NULLS LAST", *self.data.dimensions))
        return f"SELECT\n  {columns}\nFROM (\n{self.data.sql('')}\n)\nORDER BY {order}"


@dataclass(frozen=True)
class FilterDataset:
    """The values that a filter offers: those of the days that are asked for, whatever the other filters.

    Attributes:
        filter: which.
    """

    filter: Filter

    parameters = ("days",)

    @property
    def name(self) -> str:
        """Of the dataset, for queries of widgets; stable."""
        return f"filter_{self.filter.name}"

    @property
    def title(self) -> str:
        """For people who open the dashboard's data."""
        return f"Filter: {self.filter.title}"

    @property
    def column(self) -> str:
        """Its only column."""
        return "tag" if self.filter.column == "request_tags" else self.filter.column

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns."""
        return (self.column,)

    def sql(self) -> str:
        """The query, one statement."""
        if self.filter.column == "request_tags":
            return (
                "SELECT DISTINCT concat(entry.key, '=', entry.value) AS tag\nFROM usage_cells\n"
                f"LATERAL VIEW explode(map_entries(request_tags)) AS entry\nWHERE {DAYS}\nORDER BY tag"
            )
        value = f"{_labelled(self.column)} AS {self.column}"
        return f"SELECT DISTINCT {value}\nFROM usage_cells\nWHERE {DAYS}\nORDER BY {self.column}"


@dataclass(frozen=True)
class SessionsDataset:
    """The sessions of coding agents that cost most.

    Attributes:
        shown: by which widget.
    """

    shown: Sessions

    name = "agents_sessions"
    title = "Agents: Sessions that cost most"
    parameters = ("days", "requesters")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns, in order."""
        return (*self.shown.dimensions, *self.shown.measures)

    def sql(self) -> str:
        """The query, one statement."""
        return sessions_sql("")


AnyDataset = LakeviewDataset | FilterDataset | SessionsDataset


def lakeview_dataset_of(widget: Widget, only: Only) -> LakeviewDataset | SessionsDataset | None:
    """What a widget shows, apart from the figures of other widgets; None for one without figures."""
    if isinstance(widget, Sessions):
        return SessionsDataset(widget)
    data = dataset_of(widget, only)
    if data is None:
        return None
    match widget:
        case Tile():
            return LakeviewDataset(Shape.TOTALS, data)
        case Trend(by=None):
            return LakeviewDataset(Shape.DAYS, data)
        case Trend(_, (measure, *_)):
            return LakeviewDataset(Shape.COLOURED_DAYS, data, first=measure)
        case HeatMap():
            return LakeviewDataset(Shape.HOURS, data)
        case Table(_, _, (measure, *_)):
            return LakeviewDataset(Shape.ROWS, data, first=measure)
    raise AssertionError(widget)


def shared_datasets() -> list[AnyDataset]:
    """Every dataset of the dashboard: one for each set of rows and order, with the figures of all its widgets."""
    alike: dict[str, list[LakeviewDataset]] = {}
    of_sessions: dict[str, SessionsDataset] = {}
    for each in _all():
        if isinstance(each, SessionsDataset):
            of_sessions[each.name] = each
        else:
            alike.setdefault(each.name, []).append(each)
    shared = [replace(group[0], data=merged(each.data for each in group)[0]) for group in alike.values()]
    return [*shared, *of_sessions.values(), *(FilterDataset(each) for each in FILTERS)]


def _all() -> Iterator[LakeviewDataset | SessionsDataset]:
    for page in PAGES:
        widgets: Iterable[Widget] = (widget for row in page.rows for widget in row)
        yield from (each for widget in widgets if (each := lakeview_dataset_of(widget, page.only)) is not None)


def _labelled(dimension: str, prefix: str = "") -> str:
    return f"coalesce(CAST({prefix}{dimension} AS STRING), '{DIMENSIONS[dimension].none}')"
