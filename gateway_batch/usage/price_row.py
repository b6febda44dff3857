"""What tokens cost, and from when on: one row of the table `prices`, which the views of costs read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

TABLE = (
    "Prices of tokens, in US dollars a million. A price holds from valid_from to valid_to, or to the next price of the "
    "same endpoint and model. Add rows of your own; list prices are added, and never changed, as views are made."
)

COLUMNS = {
    "endpoint_name": "Endpoint that it holds for, as callers write it; NULL: all.",
    "model": "Model that it holds for, as the view usage_invocations spells it; NULL: all of the endpoint.",
    "valid_from": "From this time on.",
    "valid_to": "Before this time; NULL: until the next price.",
    "input_usd_per_million": "US dollars for a million input tokens, cached ones left out.",
    "output_usd_per_million": "US dollars for a million output tokens, reasoning included.",
    "cache_read_usd_per_million": "For input tokens read from the provider's cache; NULL: as input.",
    "cache_creation_usd_per_million": "For input tokens written to the provider's cache; NULL: as input.",
    "source": "Who says so: genai-prices for a list price.",
    "added_at": "When the row was added; of two for one endpoint, model and valid_from, the later one holds.",
}

LISTED = "genai-prices"


@dataclass(kw_only=True)
class PriceRecord:
    """A price. It needs an endpoint or a model; a price of both goes before the endpoint's, that before the model's.

    Attributes:
        input_usd_per_million, output_usd_per_million: None in either is an unknown price.
    """

    endpoint_name: str | None = None
    model: str | None = None
    valid_from: datetime
    valid_to: datetime | None = None
    input_usd_per_million: Decimal | None = None
    output_usd_per_million: Decimal | None = None
    cache_read_usd_per_million: Decimal | None = None
    cache_creation_usd_per_million: Decimal | None = None
    source: str | None = None
    added_at: datetime | None = None
