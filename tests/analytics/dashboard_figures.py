"""What a dashboard's figures have to be, by DuckDB over the rows of two views, apart from the page's own code.

The views are those of single rows, which `test_views` holds against plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from gateway_batch.dashboard.datasets import Dataset
from gateway_batch.dashboard.definition import DIMENSIONS, FILTERS

Figures = dict[tuple[Any, ...], dict[str, Any]]

COUNTED = {
    "requests": "count(*)",
    "failed_requests": "count_if(failed)",
    "unknown_requests": "count_if(NOT answered)",
    "error_rate": "count_if(failed) / nullif(count(*), 0)",
}
SUMMED = {
    "invocations": "count(*)",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "total_tokens": "coalesce(sum(total_tokens), 0)",
    "cache_read_input_tokens": "coalesce(sum(cache_read_input_tokens), 0)",
    "cache_hit_ratio": "coalesce(sum(cache_read_input_tokens), 0) / nullif(sum(input_tokens), 0)",
    "users": "count(DISTINCT requester)",
    "active_days": "count(DISTINCT day)",
    "priced_cost_usd": "sum(cost_usd)",
    "unpriced_tokens": "coalesce(sum(unpriced_tokens), 0)",
    "untagged_cost_usd": "CASE WHEN count(cost_usd) > 0 THEN coalesce(sum(cost_usd) FILTER (NOT is_tagged), 0) END",
    "untagged_share": "coalesce(sum(cost_usd) FILTER (NOT is_tagged), 0)::DOUBLE / nullif(sum(cost_usd), 0)::DOUBLE",
}
SPREAD = {
    f"{name}_p{percent}_ms": f"quantile_cont({name}_ms, {percent / 100})"
    for name in ("latency", "time_to_first_byte")
    for percent in (50, 90, 95, 99)
} | {"invocations_by_hour": "count(hour_of_day)"}


class Rows:
    """Rows of `usage_costs` and of `usage_distributions`, of a table without an aggregate."""

    def __init__(self, costs: pa.Table, distributions: pa.Table) -> None:
        self._db = duckdb.connect()
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.register("costs", costs)
        self._db.register("distributions", distributions)
        self._asked: tuple[Any, ...] = ()

    def figures(self, dataset: Dataset, days: tuple[date, date], chosen: Mapping[str, Sequence[str]]) -> Figures:
        """A dataset's figures by the values of its dimensions, where a filter leaves some rows."""
        self._filter(days, chosen)
        found: Figures = {}
        for known, rows in ((COUNTED, "requests"), (SUMMED, "costs"), (SPREAD, "distributions")):
            measures = [name for name in dataset.measures if name in known]
            if measures:
                query = self._query(dataset, rows, {name: known[name] for name in measures})
                for row in self._db.sql(query).fetchall():
                    key, values = row[: len(dataset.dimensions)], row[len(dataset.dimensions) :]
                    found.setdefault(key, {}).update(zip(measures, values, strict=True))
        return found

    def _filter(self, days: tuple[date, date], chosen: Mapping[str, Sequence[str]]) -> None:
        """Keeps what some filters leave, for all datasets that are asked under them."""
        if self._asked == (days, chosen):
            return
        conditions = [
            _condition(each.name, each.column, chosen[each.name]) for each in FILTERS if chosen.get(each.name)
        ]
        where = " AND ".join([f"day BETWEEN DATE '{days[0]}' AND DATE '{days[1]}'", *conditions])
        for source in ("costs", "distributions"):
            self._db.execute(f"CREATE OR REPLACE TABLE left_{source} AS SELECT * FROM {source} WHERE {where}")
        self._asked = (days, chosen)

    def _query(self, dataset: Dataset, rows: str, measures: Mapping[str, str]) -> str:
        keys = ", ".join(dataset.dimensions)
        by_tag = "tag_key" in dataset.dimensions
        left = f"SELECT * FROM left_{'costs' if rows == 'requests' else rows} WHERE {dataset.only.value}"
        if by_tag:
            tags = "CASE WHEN cardinality(request_tags) > 0 THEN map_entries(request_tags) ELSE [NULL] END"
            left = f"SELECT *, unnest({tags}) AS tag FROM ({left})"
            left = f"SELECT * EXCLUDE tag, tag.key AS tag_key, tag.value AS tag_value FROM ({left})"
        if rows == "requests":
            own = ", ".join((*dataset.dimensions, *(() if "day" in dataset.dimensions else ("day",)), "request_group"))
            left = (
                f"SELECT {own}, bool_or(is_failed) AS failed, bool_or(is_answered) AS answered FROM ({left}) "
                f"WHERE request_group IS NOT NULL GROUP BY {own}"
            )
        columns = ", ".join([*dataset.dimensions, *(f"{sql} AS {name}" for name, sql in measures.items())])
        grouped = f" GROUP BY {keys}" if keys else ""
        return f"SELECT {columns} FROM ({left}){grouped}"


FIGURES = """
([choice, datasets]) => datasets.map(([dimensions, measures, only]) => {
  const { engine } = usagePage;
  const { keys, figures } = engine.figures(engine.select(choice, only), dimensions, measures);
  const plain = (value) => (typeof value === "bigint" ? Format.exact(value) : value);
  return keys.map((key, i) => [key, measures.map((name) => plain(figures[name][i]))]);
})"""


def _condition(name: str, column: str, chosen: Sequence[str]) -> str:
    listed = ", ".join("'" + text.replace("'", "''") + "'" for text in chosen)
    if column == "request_tags":
        tags = "list_transform(map_entries(request_tags), lambda tag: tag.key || '=' || tag.value)"
        return f"list_has_any({tags}, [{listed}])"
    return f"coalesce({column}::VARCHAR, '{DIMENSIONS[column].none}') IN ({listed})"


def dated(name: str, value: Any) -> Any:
    """A key's part, days as dates."""
    return date(1970, 1, 1) + timedelta(days=value) if name == "day" else value


def is_same(name: str, found: Any, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    if isinstance(wanted, Decimal):
        return Decimal(found) == wanted
    if name.endswith("_ms"):
        return math.isclose(found, wanted, rel_tol=0.02, abs_tol=1)
    return math.isclose(found, wanted, rel_tol=1e-12)
