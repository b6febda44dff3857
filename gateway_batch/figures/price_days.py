"""Which row of the table of prices applies to an endpoint and a model on a UTC day."""

from __future__ import annotations

from gateway_batch.figures.dialects import Dialect

BY_COMPUTE_TIME = "AI_FUNCTIONS"
"""The `source` of calls that Databricks bills by compute time: no price of tokens is theirs."""

_LEVELS = (
    ("of_both", "{rows}.endpoint_name = of_both.endpoint_name AND {rows}.model = of_both.model"),
    ("of_endpoint", "{rows}.endpoint_name = of_endpoint.endpoint_name AND of_endpoint.model IS NULL"),
    ("of_model", "of_model.endpoint_name IS NULL AND {rows}.model = of_model.model"),
)

COLUMNS = {name: f"{name}_usd_per_million" for name in ("input", "output", "cache_read", "cache_creation")}
"""The column of the table of prices for each price."""

PRICE = f"coalesce({', '.join(f'{level}.price' for level, _ in _LEVELS)})"
"""SQL: the price of a row after `joins`: of its endpoint and model, else of the endpoint, else of the model."""


def price_days(dialect: Dialect, prices: str, more: tuple[str, ...] = ()) -> str:
    """SQL: the prices of a table of prices, each with the days on which it applies: `first_day` to before `last_day`.

    A price applies from the whole day of valid_from until the day of valid_to, or of the next price for the same
    endpoint and model. If several begin on one day, the last one applies. `price` is a struct.

    Args:
        dialect: of the engine.
        prices: the table.
        more: further columns to put into the struct.
    """
    fields = ",\n    ".join(dialect.fields(COLUMNS | {name: name for name in more}))
    return f"""\
SELECT
  endpoint_name,
  model,
  first_day,
  least(last_day, lead(first_day) OVER (PARTITION BY endpoint_name, model ORDER BY first_day)) AS last_day,
  {dialect.struct}(
    {fields}) AS price
FROM (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY endpoint_name, model, first_day
      ORDER BY valid_from DESC NULLS LAST, added_at DESC NULLS LAST) AS newest
  FROM (
    SELECT
      *,
      {dialect.day("valid_from")} AS first_day,
      {dialect.day("valid_to")} AS last_day
    FROM {prices}
  )
  WHERE last_day IS NULL OR last_day > first_day
)
WHERE newest = 1"""


def is_by_tokens(source: str) -> str:
    """SQL: whether calls of a source may have a price of tokens."""
    return f"coalesce({source} <> '{BY_COMPUTE_TIME}', true)"


def joins(rows: str, days: str) -> str:
    """SQL: joins of rows that have `day`, `endpoint_name`, `model` and `source` with the relation of `price_days`."""
    return "\n".join(
        f"LEFT JOIN {days} AS {level}\n"
        f"  ON {condition.format(rows=rows)}\n"
        f"  AND {rows}.day >= {level}.first_day AND ({level}.last_day IS NULL OR {rows}.day < {level}.last_day)\n"
        f"  AND {is_by_tokens(f'{rows}.source')}"
        for level, condition in _LEVELS
    )
