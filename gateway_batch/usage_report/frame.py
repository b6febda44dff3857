"""`gb.usage_frame`: the figures of `gateway-batch usage` as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from gateway_batch.usage_report.keys import Key, Kind, key_of
from gateway_batch.usage_report.period import period_of
from gateway_batch.usage_report.report import REPORTED, Figures, KeyValue, usage_report
from gateway_batch.usage_report.table_location import find_table

_REALS = ("error_rate", "cache_hit_ratio", "latency_p50_ms", "latency_p95_ms")
_MONEY = "priced_cost_usd"
_TIME = "datetime64[us, UTC]"


def usage_frame(
    by: str = "endpoint",
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    *,
    limit: int | None = None,
    warehouse: str | Path = "spark-warehouse",
    usage_table: str | None = None,
) -> pd.DataFrame:
    """Requests, failures, tokens, latencies and costs from the usage table, without Spark.

    Records that are still in the spool are not in it: `gateway-batch usage flush`, or a session's flush, commits them.

    Args:
        by: `endpoint`, `model`, `requester`, `tag:KEY`, `status`, `hour`, `day`, `workspace`, `api`, `source` or
            `error`.
        since: from this time on: `30m`, `24h`, `7d` or `2w` ago, a UTC date, an ISO time, or a datetime; UTC without
            a zone.
        until: before this time, given likewise.
        limit: rows at most: those of most requests, or the latest.
        warehouse: folder of the tables of `local_session`.
        usage_table: the usage table, or the folder or URL of one; None: the setting's.

    Returns:
        A row for each value, those of most requests first, days and hours in their order. The first column is named
        as `by` is, and has UTC timestamps for days and hours; the others are the columns of `gateway-batch usage
        --csv`. Counts are int64; rates, ratios and latencies float64, NaN where there is none. `priced_cost_usd` holds
        Decimals, in US dollars to 12 places, None where no tokens have a price.

    Raises:
        ConfigError: an argument is wrong, or there is no such table, or it can't be read.
    """
    key, period = key_of(by), period_of(since, until, datetime.now(UTC))
    place, _ = find_table(usage_table, Path(warehouse))
    rows = usage_report(place, key, period).first_rows(limit)
    return pd.DataFrame({key.name: _keys(key, rows), **{name: _figures(name, rows) for name in REPORTED}})


def _keys(key: Key, rows: Sequence[Figures]) -> pd.Series:
    if key.is_time:
        return pd.Series([_begin(row.key) for row in rows], dtype=_TIME)
    return pd.Series([row.key for row in rows], dtype="Int64" if key.kind is Kind.NUMBER else object)


def _begin(key: KeyValue) -> datetime | None:
    """Of a day or an hour."""
    if isinstance(key, date) and not isinstance(key, datetime):
        return datetime(key.year, key.month, key.day, tzinfo=UTC)
    return key if isinstance(key, datetime) else None


def _figures(name: str, rows: Sequence[Figures]) -> pd.Series:
    kind = object if name == _MONEY else "float64" if name in _REALS else "int64"
    return pd.Series([getattr(row, name) for row in rows], dtype=kind)
