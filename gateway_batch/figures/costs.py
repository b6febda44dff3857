"""What tokens cost: each kind of token times its price, which is in US dollars a million."""

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
    """Tokens that have one price.

    Attributes:
        tokens: name of their number.
        price: name of their price.
        else_as: name of the price that they have without one of their own; empty: the cost is unknown.
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
"""All of an invocation's tokens: input includes cached tokens, so these are taken out; output includes reasoning."""


def complete(prices: Mapping[str, Money | None]) -> dict[str, Money | None]:
    """Prices by name, those that are missing filled in where others stand for them."""
    found = {}
    for part in PARTS:
        own = prices.get(part.price)
        found[part.price] = prices.get(part.else_as) if own is None else own
    return found


def in_order(prices: Mapping[str, Number | None], unknown: Number) -> tuple[Number, ...]:
    """The complete prices in the order of `PARTS`, for `cost_usd`; `unknown` stands for one that is not known."""
    known = complete(prices)
    return tuple(unknown if (price := known[part.price]) is None else price for part in PARTS)


def cost_usd(
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read_tokens: int | None,
    cache_creation_tokens: int | None,
    prices: tuple[Number, ...],
) -> Number:
    """Dollars of one request, by prices of `in_order`; tokens that are not known cost nothing."""
    read, created = cache_read_tokens or 0, cache_creation_tokens or 0
    plain = max(0, (input_tokens or 0) - read - created)
    of_input, of_read, of_created, of_output = prices
    millionths = plain * of_input + read * of_read + created * of_created + (output_tokens or 0) * of_output
    return millionths / 1_000_000


def price_fields(price: str) -> dict[str, str]:
    """SQL: the complete prices in a struct, NULL where they are not known."""
    return {
        part.price: f"coalesce({price}.{part.price}, {price}.{part.else_as})"
        if part.else_as
        else f"{price}.{part.price}"
        for part in PARTS
    }


def millionths_usd(dialect: Dialect, prices: Mapping[str, str], tokens: Mapping[str, str] | None = None) -> list[str]:
    """SQL: millionths of a dollar, as terms to be added up; NULL where a price is not known.

    Args:
        dialect: of the engine.
        prices: each price, complete, as SQL.
        tokens: numbers of tokens as SQL, by the names of `PARTS`; None: columns of these names. NULL counts as 0.
    """
    named = {part.tokens: part.tokens for part in PARTS} if tokens is None else tokens
    return [f"{dialect.whole_tokens(f'coalesce({named[part.tokens]}, 0)')} * {prices[part.price]}" for part in PARTS]


def as_usd(millionths: str) -> str:
    """Spark SQL: millionths of a dollar in dollars, to 12 places."""
    return f"CAST(CAST({millionths} AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12))"


def is_unpriced(cost: str = "cost_usd") -> str:
    """SQL: whether there are tokens, by the column `has_tokens`, and no cost of them."""
    return f"has_tokens AND {cost} IS NULL"


def unpriced(count: str, cost: str = "cost_usd") -> str:
    """SQL: a number of tokens or invocations where these are unpriced, else 0."""
    return f"CASE WHEN {is_unpriced(cost)} THEN {count} ELSE 0 END"
