"""Queries for the figures of the dashboard's widgets.

They read the views `usage_cells`, `usage_costs`, `usage_distributions` and `usage_session_parts`. Each takes the
filters as parameters: `:days.min` and `:days.max`, and an array of texts for each of `definition.FILTERS`; an empty
array lets all through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway_batch.dashboard.definition import DIMENSIONS, FILTERS, Filter, HeatMap, Only, Table, Tile, Trend, Widget
from gateway_batch.figures.definitions import FIGURES, Figure, Relation, grouped_columns, has_costs
from gateway_batch.figures.dimensions import TAG, is_same
from gateway_batch.spark.analytics.sql_files import read_sql

_TAGS = tuple(column.name for column in TAG)

DAYS = "day BETWEEN :days.min AND :days.max"
"""The days that are asked for."""

DAYS_BEFORE = (
    "day BETWEEN date_sub(CAST(:days.min AS DATE), datediff(CAST(:days.max AS DATE), CAST(:days.min AS DATE)) + 1)\n"
    "    AND date_sub(CAST(:days.min AS DATE), 1)"
)
"""As many days before them."""


@dataclass(frozen=True)
class Dataset:
    """A row for each value of some dimensions, with figures.

    Attributes:
        dimensions: names of columns of the views; `weekday` and `hour_of_day` too.
        measures: names of figures.
        only: which rows.
    """

    dimensions: tuple[str, ...]
    measures: tuple[str, ...]
    only: Only = Only.ALL

    def sql(self, schema: str, days: str = DAYS) -> str:
        """The query, one statement.

        Args:
            schema: that of the views, written as in SQL; empty for the session's current one.
            days: condition that says which days it is about.
        """
        parts = {relation: self._of(relation) for relation in Relation}
        sources = [relation for relation in Relation if parts[relation]]
        prefix = f"{schema}." if schema else ""
        filtered = "\n  AND ".join((self.only.value, days, *map(_condition, FILTERS)))
        ctes = []
        if Relation.REQUESTS in sources or Relation.CELLS in sources:
            view = "usage_costs" if has_costs(self.measures) else "usage_cells"
            ctes.append(f"cells AS (\n{self._rows(prefix + view, filtered)}\n)")
        if Relation.REQUESTS in sources:
            ctes.append(f"requests AS (\n{self._requests(parts[Relation.REQUESTS])}\n)")
        if Relation.SPREADS in sources:
            columns = dict.fromkeys(name for each in parts[Relation.SPREADS] for name in each.computed.columns)
            known = " OR ".join(f"{name} IS NOT NULL" for name in columns)  # the view's other parts need not be read
            of_spreads = self._rows(f"{prefix}usage_distributions", f"({known})\n  AND {filtered}")
            ctes.append(f"spreads AS (\n{of_spreads}\n)")
        figures = [(f"of_{source.value}", self._figures(source.value, parts[source])) for source in sources]
        ctes += [f"{name} AS (\n{query}\n)" for name, query in figures]
        return f"WITH {', '.join(ctes)}\n{self._joined([name for name, _ in figures])}"

    def _of(self, relation: Relation) -> list[Figure]:
        return [FIGURES[name] for name in self.measures if FIGURES[name].computed.relation is relation]

    def _rows(self, view: str, filtered: str) -> str:
        tags = "\nLATERAL VIEW OUTER explode(map_entries(request_tags)) AS tag" if self._by_tag else ""
        named = ", tag.key AS tag_key, tag.value AS tag_value" if self._by_tag else ""
        return f"SELECT *{named}\nFROM {view}{tags}\nWHERE {filtered}"

    @property
    def _by_tag(self) -> bool:
        return any(name in _TAGS for name in self.dimensions)

    def _requests(self, figures: Iterable[Figure]) -> str:
        keys = ", ".join(dict.fromkeys((*self.dimensions, "day", "request_group")))
        grouped = grouped_columns(each.name for each in figures)
        columns = ",\n  ".join((keys, *(f"{sql} AS {name}" for name, sql in grouped.items())))
        return f"SELECT\n  {columns}\nFROM cells\nGROUP BY {keys}"

    def _figures(self, relation: str, figures: Iterable[Figure]) -> str:
        columns = ",\n  ".join((*self.dimensions, *(f"{each.computed.sql} AS {each.name}" for each in figures)))
        grouped = f"\nGROUP BY {', '.join(self.dimensions)}" if self.dimensions else ""
        return f"SELECT\n  {columns}\nFROM {relation}{grouped}"

    def _joined(self, names: Sequence[str]) -> str:
        first, *others = names
        columns = ",\n  ".join((*(f"{first}.{name}" for name in self.dimensions), *self.measures))
        query = f"SELECT\n  {columns}\nFROM {first}"
        for other in others:
            same = " AND ".join(is_same(first, other, self.dimensions)) or "true"
            query += f"\nLEFT JOIN {other} ON {same}"
        return query


def sessions_sql(schema: str) -> str:
    """The sessions of coding agents that cost most, of the days and requesters that are asked for.

    Args:
        schema: as of `Dataset.sql`.
    """
    prefix = f"{schema}." if schema else ""
    requesters = next(_condition(each) for each in FILTERS if each.column == "requester")
    parts = f"(\n    SELECT *\n    FROM {prefix}usage_session_parts\n    WHERE {DAYS}\n    AND {requesters}\n  )"
    query = "\n".join(
        line for line in read_sql("aggregates", "sessions").splitlines() if not line.startswith("--")
    ).format(prices=f"{prefix}prices", parts=parts)
    columns = (
        *(f"coalesce({name}, '{DIMENSIONS[name].none}') AS {name}" for name in ("coding_agent", "requester")),
        "session_id",
        "date_format(to_utc_timestamp(started_at, current_timezone()), 'yyyy-MM-dd HH:mm') AS started_at",
        "CAST(round(seconds / 60) AS BIGINT) AS minutes",
        "subagents",
        "priced_cost_usd",
        "total_tokens",
        "requests",
    )
    shown = ",\n  ".join(columns)
    return f"SELECT\n  {shown}\nFROM (\n{query}\n)\nORDER BY priced_cost_usd DESC NULLS LAST"


def dataset_of(widget: Widget, only: Only) -> Dataset | None:
    """What a widget shows; None for one without figures."""
    match widget:
        case Tile(measure):
            return Dataset((), (measure,), only)
        case Trend(_, measures, _, by):
            return Dataset(("day", by) if by else ("day",), measures, only)
        case HeatMap():
            return Dataset(("weekday", "hour_of_day"), ("invocations_by_hour",), only)
        case Table(_, dimensions, measures):
            return Dataset(dimensions, measures, only)
        case _:
            return None


def merged(datasets: Iterable[Dataset]) -> list[Dataset]:
    """One dataset for each set of rows, with all the figures that are asked of it."""
    figures: dict[tuple[tuple[str, ...], Only], dict[str, None]] = {}
    for each in datasets:
        figures.setdefault((each.dimensions, each.only), {}).update(dict.fromkeys(each.measures))
    return [Dataset(dimensions, tuple(names), only) for (dimensions, only), names in figures.items()]


def _condition(chosen: Filter) -> str:
    if chosen.column == "request_tags":
        tags = "transform(map_entries(request_tags), tag -> concat(tag.key, '=', tag.value))"
        matches = f"arrays_overlap(:{chosen.name}, {tags})"
    else:
        none = DIMENSIONS[chosen.column].none
        matches = f"array_contains(:{chosen.name}, coalesce(CAST({chosen.column} AS STRING), '{none}'))"
    return f"(:{chosen.name} IS NULL OR size(:{chosen.name}) = 0 OR {matches})"
