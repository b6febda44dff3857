"""What models cost, by the price table of genai-prices."""

from __future__ import annotations

import functools
from typing import Any

from gateway_batch.types import Price

_PREFIXES = ("databricks-", "system.ai.databricks-", "system.ai.")


@functools.cache
def list_price(model: str) -> Price | None:
    """The list price of a model by its name, Databricks' prefix left out; None for one that the table doesn't have.

    Dearer tiers, as some models have them for very long prompts, are left out.
    """
    from genai_prices import Usage, calc_price

    for prefix in _PREFIXES:
        model = model.removeprefix(prefix)
    try:
        found = calc_price(Usage(input_tokens=0, output_tokens=0), model_ref=model).model_price
    except LookupError:
        return None
    given, answered = _base(found.input_mtok), _base(found.output_mtok)
    if given is None:
        return None
    return Price(given, answered or 0.0, _base(found.cache_read_mtok), _base(found.cache_write_mtok))


def _base(price: Any) -> float | None:
    return None if price is None else float(getattr(price, "base", price))
