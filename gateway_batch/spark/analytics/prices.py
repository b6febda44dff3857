"""The table of prices next to the usage views, filled with list prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime

from pyspark.sql import SparkSession

from gateway_batch.figures.dialects import SPARK
from gateway_batch.figures.price_days import COLUMNS
from gateway_batch.pricing.list_prices import list_price
from gateway_batch.spark.ledger.usage_table import create_table
from gateway_batch.spark.session.local_rows import frame_of
from gateway_batch.spark.session.sql_text import literal, quoted
from gateway_batch.usage import price_row
from gateway_batch.usage.price_row import LISTED, PriceRecord
from gateway_batch.usage.task_summary import TokenPrice

NAME = "prices"

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


def create_prices(spark: SparkSession, schema: str) -> str:
    """Makes the table of prices in a schema if it is missing; returns its name."""
    name = f"{schema}.{NAME}"
    create_table(spark, name, PriceRecord, price_row.TABLE, price_row.COLUMNS)
    return name


def fill_prices(spark: SparkSession, schema: str, *, since: date | None = None) -> int:
    """Adds list prices of models that the usage views name; returns how many.

    A model without any price gets its list price for all time. One whose list price is another than the last that was
    added gets the new one from now on. A model for which someone gave a price of his own is left alone, and so are
    models that genai-prices does not know: their price is unknown.

    Args:
        spark: a session that has the view `usage_invocations` and the table of prices in the schema.
        schema: theirs.
        since: models of earlier days have been looked at; None: of no day.
    """
    later = "" if since is None else f"AND (event_time >= TIMESTAMP'{since} 00:00:00Z' OR event_time IS NULL) "
    named = spark.sql(
        f"SELECT DISTINCT model, destination_model FROM {quoted(schema)}.usage_invocations "
        f"WHERE model IS NOT NULL {later}"
    ).collect()
    spelled: dict[str, list[str]] = defaultdict(list)
    for model, name in sorted(named):
        spelled[model].append(name)
    now = datetime.now(UTC)
    new = new_prices(spelled, _last_prices(spark, schema), now)
    if new:
        prices = quoted(f"{schema}.{NAME}")
        columns = spark.table(prices).select(*price_row.COLUMNS).schema
        frame_of(spark, map(asdict, new), columns).writeTo(prices).append()
    return len(new)


def new_prices(
    models: Mapping[str, Iterable[str]], last: Mapping[str, TokenPrice | None], now: datetime
) -> list[PriceRecord]:
    """List prices that are to be added.

    Args:
        models: names that usage records have for a model, by the name that the views have for it.
        last: the list price of a model that was added last; None for one with a price of someone's own.
        now: from when on a price holds that is not a model's first.
    """
    added = []
    for model, spelled in models.items():
        price = _listed(model, spelled)
        if price is None or (model in last and last[model] in (None, price)):
            continue
        added.append(
            PriceRecord(
                model=model,
                valid_from=now if model in last else _ALWAYS,
                input_usd_per_million=price.input,
                output_usd_per_million=price.output,
                cache_read_usd_per_million=price.cache_read,
                cache_creation_usd_per_million=price.cache_creation,
                source=LISTED,
                added_at=now,
            )
        )
    return added


def _last_prices(spark: SparkSession, schema: str) -> dict[str, TokenPrice | None]:
    rows = spark.sql(
        f"""
        SELECT
          model,
          bool_and(source <=> {literal(LISTED)}) AS is_listed,
          max_by(
            struct({", ".join(SPARK.fields(COLUMNS))}),
            struct(valid_from, added_at)) AS price
        FROM {quoted(schema)}.{NAME}
        WHERE endpoint_name IS NULL AND model IS NOT NULL
        GROUP BY model
        """
    ).collect()
    return {row.model: TokenPrice(**row.price.asDict()) if row.is_listed else None for row in rows}


def _listed(model: str, spelled: Iterable[str]) -> TokenPrice | None:
    """By the names that the table of list prices may have: as recorded, with - for blanks, as in the views."""
    names = [*sorted(spelled), *sorted(name.lower().replace(" ", "-") for name in spelled), model]
    return next((TokenPrice.of(price) for name in names if (price := list_price(name)) is not None), None)
