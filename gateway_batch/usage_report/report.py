"""The figures of a report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from gateway_batch.errors import ConfigError
from gateway_batch.figures.definitions import FIGURES, Ratio
from gateway_batch.usage_report import statements
from gateway_batch.usage_report.keys import Key, Kind
from gateway_batch.usage_report.period import Period
from gateway_batch.usage_report.source import make_prices, make_records, open_database, open_table
from gateway_batch.usage_report.table_location import Place

KeyValue = str | int | date | datetime | None

REPORTED = (
    "requests", "failed_requests", "unknown_requests", "error_rate", "invocations", "input_tokens", "output_tokens",
    "total_tokens", "cache_read_input_tokens", "cache_hit_ratio", "users", "latency_p50_ms", "latency_p95_ms",
    "priced_cost_usd", "unpriced_tokens",
)  # fmt: skip
"""Of a row of a report, in the order in which JSON, CSV and frames have them, after the key."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = -6


@dataclass(frozen=True, slots=True)
class Figures:
    """What was used under one value of a key, or in all; the terms are those of the view `usage_invocations`.

    Attributes:
        key: the value; None for NULL, and for the total.
        requests: distinct pairs of a UTC day and a request_id.
        failed_requests: of these, with a status of 400 or more.
        unknown_requests: of these, without any status.
        invocations: rows of the usage table.
        users: distinct requesters.
        latency_p50_ms, latency_p95_ms: of invocations with a status, interpolated; None without any.
        priced_cost_usd: US dollars, to 12 places, of the tokens that have a price; None if none has.
        unpriced_tokens: tokens that have no price.
    """

    key: KeyValue
    requests: int
    failed_requests: int
    unknown_requests: int
    invocations: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_input_tokens: int
    users: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    priced_cost_usd: Decimal | None
    unpriced_tokens: int

    @property
    def error_rate(self) -> float | None:
        """Failed requests by requests; None without requests."""
        return self._ratio("error_rate")

    @property
    def cache_hit_ratio(self) -> float | None:
        """Input tokens read from the provider's cache by input tokens; None without input tokens."""
        return self._ratio("cache_hit_ratio")

    def _ratio(self, name: str) -> float | None:
        ratio = FIGURES[name].computed
        assert isinstance(ratio, Ratio)
        return ratio.value(getattr(self, ratio.above), getattr(self, ratio.below))


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        key: what it is by.
        rows: for each value, those with most requests first; days and hours as they follow.
        total: of all rows; requests and users of several values count once.
        first, last: the earliest and the latest time of a row; None without any.
        has_prices: whether there is a table of prices.
    """

    key: Key
    rows: list[Figures]
    total: Figures
    first: datetime | None
    last: datetime | None
    has_prices: bool

    def first_rows(self, limit: int | None) -> list[Figures]:
        """Rows at most: those of most requests, or of the latest days or hours; None: all."""
        if limit is None:
            return self.rows
        return self.rows[-limit:] if self.key.is_time else self.rows[:limit]


def usage_report(place: Place, key: Key, period: Period) -> Report:
    """Reports the usage of a table by a key, its figures those of the views.

    Raises:
        ConfigError: there is no such table, it lacks a column, or it can't be read.
    """
    table = open_table(place)
    with open_database() as database:
        make_records(database, table, place, key.columns, period)
        has_prices = make_prices(database, place.prices)
        try:
            rows = _compute(database, key, period)
        except duckdb.Error as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise ConfigError(f"the table {place.name} can't be read: {first}") from error
    (total,) = (row for row in rows if row[0])
    by_key = [_figures(key, row[1:]) for row in rows if not row[0]]
    return Report(key, _sorted(key, by_key), _figures(key, total[1:]), total[-2], total[-1], has_prices)


def _compute(database: duckdb.DuckDBPyConnection, key: Key, period: Period) -> list[tuple[Any, ...]]:
    """Computes the parts side by side, as none keeps all cores busy to its end."""
    database.execute(statements.MODELS)
    database.execute(statements.invocations(key, period))

    def run(part: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
        with database.cursor() as own:
            for name, value in (("tag", key.tag), ("since", period.since), ("until", period.until)):
                own.execute(f"SET VARIABLE {name} = $1", [value])
            part(own)

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, (_make_repeats, _make_costs, _make_spreads)))
    return database.execute(statements.REPORT).fetchall()


def _make_repeats(database: duckdb.DuckDBPyConnection) -> None:
    hashes = database.execute(statements.HASHES).fetchnumpy()["request_hash"]
    database.register("candidates", {"request_hash": _coming_again(hashes)})
    database.execute(statements.REPEATS)


def _make_costs(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(statements.PARTS)
    database.execute(statements.COSTS)


def _make_spreads(database: duckdb.DuckDBPyConnection) -> None:
    database.execute(statements.SPREADS)


def _coming_again(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Each that is there more than once; sorts them in place, which takes half as long as DuckDB's grouping."""
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _figures(key: Key, row: tuple[Any, ...]) -> Figures:
    value, requests, failed, unknown, invocations, *tokens, users, p50, p95, cost, unpriced, _, _ = row
    given, answered, both, read = map(int, tokens)
    return Figures(
        key=_value(key, value),
        requests=int(requests),
        failed_requests=int(failed),
        unknown_requests=int(unknown),
        invocations=int(invocations),
        input_tokens=given,
        output_tokens=answered,
        total_tokens=both,
        cache_read_input_tokens=read,
        users=users,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        priced_cost_usd=None if cost is None else cost.scaleb(_MICRO),
        unpriced_tokens=int(unpriced),
    )


def _value(key: Key, value: Any) -> KeyValue:
    if value is None:
        return None
    if key.kind is Kind.DAY:
        return (_EPOCH + timedelta(days=value)).date()
    if key.kind is Kind.HOUR:
        return _EPOCH + timedelta(hours=value)
    found: str | int = value
    return found


def _sorted(key: Key, rows: list[Figures]) -> list[Figures]:
    by_key = sorted(rows, key=lambda row: (row.key is None, _comparable(row.key)))
    return by_key if key.is_time else sorted(by_key, key=lambda row: -row.requests)


def _comparable(value: KeyValue) -> Any:
    return 0 if value is None else value
