"""What models cost, by the price table of genai-prices."""

from __future__ import annotations

import functools
import re
from typing import Any

from gateway_batch.types import Price

_BARE = "databricks-"
_PREFIXES = (_BARE, f"system.ai.{_BARE}", "system.ai.")
_DASHED = re.compile(r"(?<=\d)-(?=\d)")


@functools.cache
def list_price(model: str) -> Price | None:
    """The list price of a model by its name; None for one that the table doesn't have.

    For a Databricks name it is Databricks' own price, else the vendor's for the name without the prefix. Dearer tiers,
    as some models have them for very long prompts, are left out.
    """
    from genai_prices import Usage, calc_price

    for name in _names(model):
        try:
            found = calc_price(Usage(input_tokens=0, output_tokens=0), model_ref=name).model_price
            break
        except LookupError:
            continue
    else:
        return None
    given, answered = _base(found.input_mtok), _base(found.output_mtok)
    if given is None:
        return None
    return Price(given, answered or 0.0, _base(found.cache_read_mtok), _base(found.cache_write_mtok))


def _names(model: str) -> tuple[str, ...]:
    """As the table may have it: of a Databricks name also the vendor's, with versions in dashes or in dots."""
    prefix = next((prefix for prefix in _PREFIXES if model.startswith(prefix)), None)
    if prefix is None:
        return (model,)
    short = model.removeprefix(prefix)
    return f"{_BARE}{short}", short, _DASHED.sub(".", short)


def _base(price: Any) -> float | None:
    return None if price is None else float(getattr(price, "base", price))
