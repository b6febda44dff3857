"""What tokens cost: each kind of token times its price. Prices are in US dollars per million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from gateway_batch.figures.dialects import Dialect

Money = TypeVar("Money")
Number = TypeVar("Number", float, Decimal)


@dataclass(frozen=True, slots=True)
class PricedPart:
    """A kind of token with a price of its own.

    Attributes:
        tokens: name of the count.
        price: name of the price.
        else_as: name of the price to use when this one is missing; empty: the cost is unknown then.
    """

    tokens: str
    price: str
    else_as: str = ""


PARTS = (
    PricedPart("plain_input_tokens", "input"),
    PricedPart("cache_read_input_tokens", "cache_read", else_as="input"),
    PricedPart("cache_creation_input_tokens", "cache_creation", else_as="input"),
    PricedPart("output_tokens", "output"),
)
"""Every token of an invocation, once. Cached tokens are part of the input, so plain input leaves them out."""


def complete(prices: Mapping[str, Money | None]) -> dict[str, Money | None]:
    """All prices by name; a missing one is replaced by its `else_as`, and is None without that."""
    found = {}
    for part in PARTS:
        own = prices.get(part.price)
        found[part.price] = prices.get(part.else_as) if own is None else own
    return found


def in_order(prices: Mapping[str, Number | None], unknown: Number) -> tuple[Number, ...]:
    """The complete prices in the order of `PARTS`, for `cost_usd`; an unknown one is `unknown`."""
    known = complete(prices)
    return tuple(unknown if (price := known[part.price]) is None else price for part in PARTS)


def cost_usd(
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read_tokens: int | None,
    cache_creation_tokens: int | None,
    prices: tuple[Number, ...],
) -> Number:
    """US dollars of one request, with prices as `in_order` returns them; unknown counts are 0."""
    read, created = cache_read_tokens or 0, cache_creation_tokens or 0
    plain = max(0, (input_tokens or 0) - read - created)
    of_input, of_read, of_created, of_output = prices
    millionths = plain * of_input + read * of_read + created * of_created + (output_tokens or 0) * of_output
    return millionths / 1_000_000


def price_fields(price: str) -> dict[str, str]:
    """SQL: the complete prices, read from a struct; NULL where unknown."""
    return {
        part.price: f"coalesce({price}.{part.price}, {price}.{part.else_as})"
        if part.else_as
        else f"{price}.{part.price}"
        for part in PARTS
    }


def millionths_usd(dialect: Dialect, prices: Mapping[str, str], tokens: Mapping[str, str] | None = None) -> list[str]:
    """SQL: the terms whose sum is the cost in millionths of a dollar; NULL where a price is unknown.

    Args:
        dialect: of the engine.
        prices: SQL of each complete price.
        tokens: SQL of each count, by the names in `PARTS`; None: the columns of these names. NULL counts as 0.
    """
    named = {part.tokens: part.tokens for part in PARTS} if tokens is None else tokens
    return [f"{dialect.whole_tokens(f'coalesce({named[part.tokens]}, 0)')} * {prices[part.price]}" for part in PARTS]


def as_usd(millionths: str) -> str:
    """Spark SQL: millionths of a dollar as dollars, with 12 decimal places."""
    return f"CAST(CAST({millionths} AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12))"


def is_unpriced(cost: str = "cost_usd") -> str:
    """SQL: whether a row has tokens (column `has_tokens`) but no cost."""
    return f"has_tokens AND {cost} IS NULL"


def unpriced(count: str, cost: str = "cost_usd") -> str:
    """SQL: a count of tokens or invocations if the row is unpriced, else 0."""
    return f"CASE WHEN {is_unpriced(cost)} THEN {count} ELSE 0 END"
