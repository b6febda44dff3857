"""Conditions under which a job gives up, such as `error_rate > 0.05`. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway_batch.errors import ConfigError

MEASURES = ("error_rate", "failed_rows", "rows", "cut_off", "filtered", "empty", "total_tokens", "cost_usd")

_COMPARED: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_FORM = re.compile(r"\s*(?P<measure>\w+)\s*(?P<compared>[<>]=?)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*")


@dataclass(frozen=True, slots=True)
class FailIf:
    """A condition; `str` gives it as it was written."""

    measure: str
    compared: str
    limit: Decimal
    text: str

    @classmethod
    def parse(cls, text: str) -> FailIf:
        """The condition that a text says.

        Args:
            text: one of `MEASURES`, a comparison, and a number, which may be a percentage.

        Raises:
            ConfigError: it says none.
        """
        found = _FORM.fullmatch(text)
        if found is None or found["measure"] not in MEASURES:
            raise ConfigError(
                f"fail_if: {text!r} is not a condition such as 'error_rate > 0.05': one of {', '.join(MEASURES)}, then "
                ">, >=, < or <=, then a number"
            )
        limit = Decimal(found["limit"]) / (100 if found["percent"] else 1)
        return cls(found["measure"], found["compared"], limit, text.strip())

    def __str__(self) -> str:
        return self.text

    def holds(self, measures: Mapping[str, Decimal | None]) -> bool:
        """Whether it holds for what was measured; not for what is not known."""
        value = measures[self.measure]
        return value is not None and _COMPARED[self.compared](value, self.limit)
