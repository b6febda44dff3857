"""Definitions of figures, run by DuckDB; Spark runs them in tests/analytics."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import gateway_batch
from gateway_batch.figures import costs, outcomes, tokens
from gateway_batch.figures.definitions import FIGURES, Ratio, Relation, grouped_columns, has_costs
from gateway_batch.figures.dialects import DUCKDB
from gateway_batch.figures.percentiles import percentiles
from gateway_batch.types import Price, TokenUsage
from scripts.write_sql import TEMPLATES

PACKAGE = Path(gateway_batch.__file__).parent


def rows_of(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return duckdb.execute(query, parameters or None).fetchall()


def ask(sql: str, **columns: Any) -> Any:
    """What an expression is, over one row."""
    row = ", ".join(f"${name} AS {name}" for name in columns)
    ((found,),) = rows_of(f"SELECT {sql} FROM (SELECT {row})", **columns)
    return found


@pytest.mark.parametrize(
    ("status", "found"),
    [(200, (False, False)), (399, (False, False)), (400, (True, False)), (503, (True, False)), (None, (False, True))],
)
def test_a_status_of_400_or_more_failed_and_none_is_unknown(status: int | None, found: tuple[bool, bool]) -> None:
    is_failed, is_unknown = (ask(sql, status_code=status) for sql in (outcomes.IS_FAILED, outcomes.UNKNOWN))
    assert (is_failed, is_unknown) == found
    assert ask(outcomes.ANSWERED, status_code=status) is not is_unknown


PRICES = {"input": 2.5, "output": 10.0, "cache_read": 0.25, "cache_creation": 3.125}


@pytest.mark.parametrize(
    ("counts", "prices", "millionths"),
    [
        ((1000, 200, None, None), PRICES, 1000 * 2.5 + 200 * 10),
        ((1000, 200, 600, 100), PRICES, 300 * 2.5 + 600 * 0.25 + 100 * 3.125 + 200 * 10),
        ((1000, None, 600, 100), PRICES | {"cache_read": None, "cache_creation": None}, 1000 * 2.5),
        ((100, 3, 60, 70), PRICES, 60 * 0.25 + 70 * 3.125 + 3 * 10),  # more cached than given: none is plain
        ((None, 7, None, None), PRICES, 70.0),
        ((5, 0, 0, 0), {"input": 0.0, "output": 0.0}, 0.0),
    ],
)
def test_a_cost_is_the_same_in_python_and_in_sql(
    counts: tuple[int | None, ...], prices: dict[str, Any], millionths: float
) -> None:
    given, answered, read, created = counts
    usage = TokenUsage(given, answered, None, read, created)
    price = Price(**prices)
    assert price.cost_usd(usage) == pytest.approx(millionths / 1e6, abs=0, rel=1e-12)

    known = {name: value for name, value in prices.items() if value is not None}
    fields = ", ".join(f"{part.price} := {known.get(part.price, 'NULL')}::DECIMAL(18, 6)" for part in costs.PARTS)
    sql = " + ".join(
        costs.millionths_usd(
            DUCKDB,
            costs.price_fields("price"),
            {
                "plain_input_tokens": tokens.plain_input("given", "read", "created"),
                "cache_read_input_tokens": "read",
                "cache_creation_input_tokens": "created",
                "output_tokens": "answered",
            },
        )
    )
    row = dict(zip(("given", "answered", "read", "created"), counts, strict=True))
    columns = ", ".join(f"{'NULL' if count is None else count}::BIGINT AS {name}" for name, count in row.items())
    found = rows_of(f"SELECT {sql} FROM (SELECT {columns}, struct_pack({fields}) AS price)")
    assert found == [(Decimal(str(millionths)),)]


def test_a_price_that_nothing_stands_for_makes_a_cost_unknown() -> None:
    assert costs.complete({"input": 1}) == {"input": 1, "cache_read": 1, "cache_creation": 1, "output": None}
    assert costs.complete({"output": 1})["input"] is None
    assert ask(costs.unpriced("9", "cost"), has_tokens=True, cost=None) == 9
    assert ask(costs.unpriced("9", "cost"), has_tokens=True, cost=0) == 0
    assert ask(costs.unpriced("9", "cost"), has_tokens=False, cost=None) == 0


def test_a_percentile_is_interpolated_between_the_two_nearest() -> None:
    sql = f"SELECT {percentiles('ms', (50, 90), DUCKDB)} FROM (VALUES (10), (20), (40), (NULL), (80)) AS rows (ms)"
    ((found,),) = rows_of(sql)
    assert found == pytest.approx([30.0, 68.0])


def test_models_are_spelled_alike() -> None:
    names = ["Llama 3.3 70B", "llama-3-3-70b", " system.ai.databricks-llama_3.3  70B "]
    assert {ask(tokens.model("name", DUCKDB), name=name) for name in names} == {"llama-3-3-70b"}
    assert ask(tokens.model("name", DUCKDB), name=None) is None


def test_a_ratio_is_of_figures_of_one_relation() -> None:
    ratios = [figure.computed for figure in FIGURES.values() if isinstance(figure.computed, Ratio)]
    assert len(ratios) == 3
    for ratio in ratios:
        assert FIGURES[ratio.above].computed.relation is FIGURES[ratio.below].computed.relation is Relation.REQUESTS
    assert (ratios[0].value(1, 4), ratios[0].value(1, 0)) == (0.25, None)


REQUESTS = """
  SELECT * FROM (VALUES
    (DATE '2026-08-03', 'a', 1, true, true, 10, 4),
    (DATE '2026-08-03', 'a', 1, false, true, 5, NULL),
    (DATE '2026-08-04', 'a', 1, false, false, NULL, NULL),
    (DATE '2026-08-04', 'cell', 3, false, true, 20, NULL),
    (DATE '2026-08-04', NULL, 0, true, true, 1, NULL)
  ) AS rows (day, request_group, requests, is_failed, is_answered, input_tokens, cache_read_input_tokens)
"""


def test_a_request_counts_once_on_a_day_and_failed_if_a_part_of_it_did() -> None:
    names = ["requests", "failed_requests", "unknown_requests", "error_rate", "cache_hit_ratio"]
    grouped = ", ".join(f"{sql} AS {name}" for name, sql in grouped_columns(names).items())
    figures = ", ".join(FIGURES[name].computed.sql for name in names)
    requests = f"SELECT {grouped} FROM ({REQUESTS}) GROUP BY day, request_group"
    assert rows_of(f"SELECT {figures} FROM ({requests})") == [(5, 1, 1, 1 / 5, 4 / 36)]


def test_a_cache_hit_ratio_without_a_known_read_is_0_and_not_unknown() -> None:
    figure = FIGURES["cache_hit_ratio"].computed.sql
    rows = "(SELECT 5 AS input_tokens, NULL::BIGINT AS cache_read_input_tokens)"
    assert rows_of(f"SELECT {figure} FROM {rows}") == [(0.0,)]


def test_figures_of_costs_are_known_by_their_columns() -> None:
    assert has_costs(["requests", "untagged_share"])
    assert not has_costs(["requests", "error_rate", "latency_p50_ms", "users"])


SECOND = re.compile(
    r"status(_code)? *>= *400|quantile_cont\(|(?<![._])\bpercentile\((?!\))|_usd_per_million AS |\b1\.04\b"
)
"""What only a second definition of a figure would spell out."""


def test_no_figure_is_defined_a_second_time() -> None:
    files = [
        file
        for folder in (PACKAGE, TEMPLATES)
        for kind in ("*.py", "*.js", "*.jinja")
        for file in folder.rglob(kind)
        if not {"figures", "devgateway"} & set(file.relative_to(folder).parts)
    ]
    found = {file.name for file in files if SECOND.search(file.read_text(encoding="utf-8"))}
    assert len(files) > 200
    assert found == set()
