"""How the usage dashboard writes its figures; what they are is in `gateway_batch.figures.definitions`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway_batch.figures.definitions import FIGURES, Figure
from gateway_batch.figures.percentiles import PERCENTS


class Format(StrEnum):
    """How a figure is written."""

    COUNT = "count"
    SHARE = "share"
    MILLISECONDS = "milliseconds"
    DOLLARS = "dollars"


@dataclass(frozen=True)
class Measure:
    """A figure of the dashboard.

    Attributes:
        figure: what it is.
        title: on tiles, axes and in the heads of tables.
        format: how it is written.
        rise_is: whether a higher one is good (1), bad (-1) or neither (0).
    """

    figure: Figure
    title: str
    format: Format
    rise_is: int = 0

    @property
    def name(self) -> str:
        """As in the views' columns."""
        return self.figure.name

    @property
    def note(self) -> str:
        """What a reader has to know about it."""
        return f"{self.figure.meaning}."


_COUNT, _SHARE, _DOLLARS, _TIME = Format.COUNT, Format.SHARE, Format.DOLLARS, Format.MILLISECONDS

_ALL = (
    ("requests", "Requests", _COUNT, 0),
    ("failed_requests", "Failed requests", _COUNT, -1),
    ("unknown_requests", "Unknown requests", _COUNT, -1),
    ("error_rate", "Error rate", _SHARE, -1),
    ("invocations", "Invocations", _COUNT, 0),
    ("input_tokens", "Input tokens", _COUNT, 0),
    ("output_tokens", "Output tokens", _COUNT, 0),
    ("total_tokens", "Tokens", _COUNT, 0),
    ("cache_read_input_tokens", "Cached input tokens", _COUNT, 0),
    ("cache_hit_ratio", "Cache hit ratio", _SHARE, 1),
    ("users", "Users", _COUNT, 0),
    ("active_days", "Active days", _COUNT, 0),
    ("priced_cost_usd", "Cost", _DOLLARS, -1),
    ("unpriced_tokens", "Unpriced tokens", _COUNT, -1),
    ("untagged_cost_usd", "Untagged cost", _DOLLARS, -1),
    ("untagged_share", "Untagged share", _SHARE, -1),
    *((f"latency_p{percent}_ms", f"Latency P{percent}", _TIME, -1) for percent in PERCENTS),
    *((f"time_to_first_byte_p{percent}_ms", f"First byte P{percent}", _TIME, -1) for percent in PERCENTS),
    ("invocations_by_hour", "Invocations", _COUNT, 0),
)

MEASURES = {name: Measure(FIGURES[name], title, format_, rise_is) for name, title, format_, rise_is in _ALL}
"""Every figure of the dashboard, by its name."""
