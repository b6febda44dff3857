"""The differences between Spark SQL and DuckDB that the figures' expressions meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

DAY_S, HOUR_S = 86_400, 3_600


class Dialect(Protocol):
    """How an engine writes an expression. Arguments and results are SQL."""

    @property
    def struct(self) -> str:
        """The function that makes a struct of `fields`."""
        ...

    def units_since_1970(self, time: str, unit_s: int) -> str:
        """Whole units of a number of seconds from 1970 to a time, UTC; negative before."""
        ...

    def day(self, time: str) -> str:
        """The UTC day of a time, as rows have it: a date in Spark, days since 1970 in DuckDB."""
        ...

    def fields(self, columns: Mapping[str, str]) -> list[str]:
        """Columns as fields of a struct, by their names there; `struct` makes it."""
        ...

    def whole_tokens(self, count: str) -> str:
        """A token count as a decimal, to be multiplied by a price."""
        ...

    def replaced(self, text: str, pattern: str, by: str) -> str:
        """A text with each match of a regular expression replaced; `pattern` and `by` are plain text, not SQL."""
        ...

    def trimmed(self, text: str) -> str:
        """A text without spaces at its ends; other white space stays."""
        ...

    def percentiles(self, column: str, shares: Sequence[float], count: str) -> str:
        """An array of quantiles of a column, each interpolated between the two nearest values; NULL is left out.

        `count` is the column that says how many values a Spark row stands for. In DuckDB each row is one value.
        """
        ...


class _Spark:
    struct = "struct"

    def units_since_1970(self, time: str, unit_s: int) -> str:
        return f"floor(unix_seconds({time}) / {unit_s})"

    def day(self, time: str) -> str:
        return f"date_from_unix_date(CAST({self.units_since_1970(time, DAY_S)} AS INT))"

    def fields(self, columns: Mapping[str, str]) -> list[str]:
        return [f"{column} AS {name}" for name, column in columns.items()]

    def whole_tokens(self, count: str) -> str:
        return f"try_cast({count} AS DECIMAL(15, 0))"  # a larger count makes the cost NULL; CAST would raise

    def replaced(self, text: str, pattern: str, by: str) -> str:
        escaped = pattern.replace("\\", "\\\\")
        return f"regexp_replace({text}, '{escaped}', '{by}')"

    def trimmed(self, text: str) -> str:
        return f"trim({text})"

    def percentiles(self, column: str, shares: Sequence[float], count: str) -> str:
        return f"percentile({column}, array({', '.join(map(str, shares))}), {count})"


class _DuckDB:
    struct = "struct_pack"

    # `//` cuts towards zero, so times before 1970 are made positive for it: no table has times from before the year 1.
    _SHIFT_S = 1_000_000 * DAY_S

    def units_since_1970(self, time: str, unit_s: int) -> str:
        shift_us, unit_us = self._SHIFT_S * 1_000_000, unit_s * 1_000_000
        return f"((epoch_us({time}) + {shift_us}) // {unit_us} - {shift_us // unit_us})"

    def day(self, time: str) -> str:
        return self.units_since_1970(time, DAY_S)

    def fields(self, columns: Mapping[str, str]) -> list[str]:
        return [f"{name} := {column}" for name, column in columns.items()]

    def whole_tokens(self, count: str) -> str:
        return f"CAST({count} AS DECIMAL(20, 0))"

    def replaced(self, text: str, pattern: str, by: str) -> str:
        return f"regexp_replace({text}, '{pattern}', '{by}', 'g')"

    def trimmed(self, text: str) -> str:
        return f"trim({text}, ' ')"

    def percentiles(self, column: str, shares: Sequence[float], count: str) -> str:
        return f"quantile_cont({column}, [{', '.join(map(str, shares))}])"


SPARK: Dialect = _Spark()
DUCKDB: Dialect = _DuckDB()
