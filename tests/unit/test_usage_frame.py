"""`gb.usage_frame` has what `gateway-batch usage` prints, in types of pandas; `tests/analytics` holds the figures."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

import gateway_batch as gb
from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage_report.report import REPORTED
from tests.usage_days import usage_days, write_delta

from .command import command

FIRST = date(2026, 8, 3)
LATE = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand rows of three days."""
    folder = tmp_path_factory.mktemp("warehouse")
    write_delta(usage_days(2_000, 3, first=FIRST), folder / "ai_gateway.db" / "usage")
    return folder


def write_rows(folder: Path, *rows: dict[str, object]) -> str:
    full = [{name: None for name in SCHEMA.names} | row for row in rows]
    write_delta([pa.Table.from_pylist(full, schema=SCHEMA)], folder / "usage")
    return str(folder / "usage")


def write_price(folder: Path, **price: object) -> None:
    columns = {
        "endpoint_name": pa.string(), "model": pa.string(), "valid_from": pa.timestamp("us", "UTC"),
        "valid_to": pa.timestamp("us", "UTC"), "input_usd_per_million": pa.decimal128(18, 6),
        "output_usd_per_million": pa.decimal128(18, 6), "cache_read_usd_per_million": pa.decimal128(18, 6),
        "cache_creation_usd_per_million": pa.decimal128(18, 6), "added_at": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    row = {name: None for name in columns} | {"valid_from": datetime(2026, 1, 1, tzinfo=UTC), **price}
    write_deltalake(str(folder / "prices"), pa.Table.from_pylist([row], schema=pa.schema(columns)))


@pytest.mark.parametrize("by", ["endpoint", "model", "status", "day", "hour", "tag:team"])
def test_rows_and_figures_are_those_that_the_command_prints(warehouse: Path, by: str) -> None:
    frame = gb.usage_frame(by, warehouse=warehouse)
    printed = command("usage", "--by", by, "--warehouse", str(warehouse), "--json")
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert list(frame.columns) == [by, *REPORTED] == list(lines[0])
    assert len(frame) == len(lines) > 1
    for (_, row), line in zip(frame.iterrows(), lines, strict=True):
        assert {name: None if pd.isna(row[name]) else row[name] for name in REPORTED} == {
            name: line[name] for name in REPORTED
        }


def test_columns_have_pandas_types_for_counts_rates_and_times(warehouse: Path) -> None:
    types = gb.usage_frame("day", warehouse=warehouse).dtypes.astype(str).to_dict()
    assert types["day"] == "datetime64[us, UTC]"
    assert {types[name] for name in REPORTED} == {"int64", "float64", "object"}
    assert [name for name, kind in types.items() if kind == "object"] == ["priced_cost_usd"]
    assert str(gb.usage_frame("status", warehouse=warehouse)["status"].dtype) == "Int64"


def test_days_and_hours_are_utc_times(tmp_path: Path) -> None:
    table = write_rows(tmp_path, {"event_time": datetime(2026, 8, 3, 23, 59, tzinfo=UTC)}, {"event_time": LATE}, {})
    days = gb.usage_frame("day", usage_table=table)["day"]
    assert list(days[:2]) == [datetime(2026, 8, 3, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    assert days[2] is pd.NaT
    hours = gb.usage_frame("hour", usage_table=table)["hour"]
    assert list(hours[:2]) == [datetime(2026, 8, 3, 23, tzinfo=UTC), LATE.replace(minute=0)]


def test_money_is_exact_and_unknown_is_none(tmp_path: Path) -> None:
    row = {"event_time": datetime(2026, 8, 3, tzinfo=UTC), "input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    table = write_rows(tmp_path, row | {"endpoint_name": "mine"}, row | {"endpoint_name": "other", "request_id": "r"})
    write_price(tmp_path, endpoint_name="mine", input_usd_per_million=Decimal("0.1"), output_usd_per_million=Decimal(2))
    costs = gb.usage_frame(usage_table=table).set_index("endpoint")["priced_cost_usd"]
    assert costs["mine"] == Decimal("0.0000023")
    assert costs["other"] is None


def test_a_period_may_be_text_or_times(warehouse: Path) -> None:
    second = datetime(2026, 8, 4, tzinfo=UTC)
    day = gb.usage_frame("day", since=second, until=second + timedelta(days=1), warehouse=warehouse)
    assert list(day["day"]) == [second]
    pd.testing.assert_frame_equal(day, gb.usage_frame("day", "2026-08-04", "2026-08-05", warehouse=str(warehouse)))
    assert gb.usage_frame("day", since=second.replace(tzinfo=None), warehouse=warehouse)["day"].min() == second


def test_a_limit_keeps_most_requests_or_the_latest(warehouse: Path) -> None:
    whole = gb.usage_frame(warehouse=warehouse)
    pd.testing.assert_frame_equal(gb.usage_frame(warehouse=warehouse, limit=2), whole.head(2))
    assert list(gb.usage_frame("day", warehouse=warehouse, limit=1)["day"]) == [datetime(2026, 8, 5, tzinfo=UTC)]


def test_nothing_in_a_period_is_an_empty_frame_of_the_same_types(warehouse: Path) -> None:
    none = gb.usage_frame("day", since="2030-01-01", warehouse=warehouse)
    assert len(none) == 0
    assert none.dtypes.equals(gb.usage_frame("day", warehouse=warehouse).dtypes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "colour"}, "by: no report by 'colour'"),
        ({"since": "yesterday"}, "since: 'yesterday' is no time"),
        ({"since": "2026-08-02", "until": "2026-08-01"}, "until 2026-08-01 is not after since 2026-08-02"),
        ({"warehouse": "nowhere"}, "no such folder: nowhere"),
        ({"usage_table": "./nothing"}, "no usage table ./nothing"),
        ({"usage_table": "a.b.c"}, "usage_table: a.b.c is in a catalog"),
    ],
)
def test_a_wrong_argument_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spark-warehouse").mkdir()
    with pytest.raises(gb.ConfigError, match=message):
        gb.usage_frame(**arguments)  # type: ignore[arg-type]
