"""The report without Spark against figures worked out apart (`view_figures`), and over tables as Spark writes them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage_report import ALWAYS, Period, key_of, place_of
from gateway_batch.usage_report.report import Figures, Report, usage_report
from tests.analytics.figure_parts import by, cached, costs, counted, field, latencies, tokens, users
from tests.analytics.record_figures import (
    Prices,
    Record,
    agent_of,
    day_of,
    framework_of,
    hour_of,
    model_of,
    requester_of,
    session_field,
    source_of,
    with_possible_tokens,
)
from tests.analytics.usage_views import Usage, records, rows_of
from tests.usage_days import write_delta

pytestmark = pytest.mark.timeout(1800)


def tag(key: str) -> Callable[[Record], Any]:
    return lambda row: dict(row["request_tags"] or []).get(key)


KEYS: dict[str, Callable[[Record], Any]] = {
    "endpoint": field("endpoint_name"), "model": model_of, "requester": requester_of, "status": field("status_code"),
    "day": day_of, "hour": hour_of, "workspace": field("workspace_id"), "api": field("api_type"),
    "source": source_of, "agent": agent_of, "framework": framework_of, "router": session_field("smart_router_name"),
    "session": session_field("client_session_id"),
    "tag:team": tag("team"), 'tag:cost "center"': tag('cost "center"'), "tag:it's 🧾": tag("it's 🧾"),
}  # fmt: skip


def odd(**columns: Any) -> dict[str, Any]:
    row = {name: None for name in SCHEMA.names} | {"event_time": datetime(2026, 8, 3, 23, 59, 59, tzinfo=UTC)}
    return row | columns


NEXT_DAY, NOON = datetime(2026, 8, 4, tzinfo=UTC), datetime(2026, 8, 5, 12, tzinfo=UTC)
TAGS = [("team", 'größe "q"'), ("it's 🧾", "4711 🧾"), ('cost "center"', "'; --")]
ODD = [
    odd(event_time=None),
    odd(request_id="a", status_code=200, latency_ms=5, request_tags=TAGS, requester="ana", endpoint_name="e'1"),
    odd(request_id="a", status_code=503, latency_ms=9, request_tags=TAGS, endpoint_name="e'1"),
    odd(request_id="a", event_time=NEXT_DAY, status_code=200, destination_model=" GPT 5.4 ", input_tokens=7),
    odd(request_id="b"),
    odd(request_id="b", status_code=200, destination_model="system.ai.databricks-gpt_5.4", output_tokens=10**8),
    odd(request_id="c", endpoint_name="risk-llm", destination_model="Llama 3.3 70B", input_tokens=100, output_tokens=3),
    odd(request_id="c", destination_model="llama-3-3-70b", input_tokens=100, event_time=NOON,
        token_details={"cache_read_input_tokens": 60, "cache_creation_input_tokens": 70}),
    odd(status_code=500, total_tokens=4),
    *(odd(request_id="d", total_tokens=2**63 - 1, input_tokens=-1, output_tokens=2**63 - 1) for _ in range(2)),
    odd(request_id="y9999", event_time=datetime(9999, 12, 31, 23, tzinfo=UTC), status_code=404),
    odd(request_id="y1969", event_time=datetime(1969, 12, 31, 23, 30, tzinfo=UTC), status_code=None),
]  # fmt: skip


@dataclass(frozen=True)
class Data:
    """A table, its rows with what they cost, and a period that leaves out some of its files at both ends."""

    folder: Path
    rows: list[Record]
    period: Period


@pytest.fixture(scope="module")
def prices(usage: Usage) -> Prices:
    return Prices(rows_of(usage.spark, f"{usage.schema}.prices"))


@pytest.fixture(scope="module")
def generated(usage: Usage, prices: Prices) -> Data:
    """With a table of prices next to it, as Spark writes it."""
    period = Period(datetime(2026, 8, 20, tzinfo=UTC), datetime(2026, 9, 10, 12, tzinfo=UTC))
    return Data(usage.folder, priced(usage.rows, prices), period)


@pytest.fixture(scope="module")
def odd_data(usage: Usage, prices: Prices, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("odd") / "usage"
    rows = pa.Table.from_pylist(ODD, schema=SCHEMA)
    write_delta([rows], folder)
    shutil.copytree(usage.folder.parent / "prices", folder.parent / "prices")
    return Data(folder, priced(rows, prices), Period(NEXT_DAY, NOON))


def priced(rows: pa.Table, prices: Prices) -> list[Record]:
    return [row | {"cost_usd": prices.cost_usd(row)} for row in records(rows)]


def invocations(rows: Sequence[Record]) -> dict[str, Any]:
    return {"invocations": len(rows)}


def wanted(rows: list[Record], key: Callable[[Record], Any]) -> dict[Any, dict[str, Any]]:
    """Figures by a key's values, as the report has them."""

    def latency(group: Sequence[Record]) -> dict[str, Any]:
        return latencies(group, (50, 95), first_byte=False)

    def cost(group: Sequence[Record]) -> dict[str, Any]:
        return {name: value for name, value in costs(group).items() if name in ("priced_cost_usd", "unpriced_tokens")}

    parts = (counted, tokens, cached, users, latency, cost, invocations)
    return {row.pop("key"): row for row in by(rows, {"key": key}, *parts)}


def assert_same(found: Figures, figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        own = getattr(found, name)
        near = 1e-5 if name.endswith("_ms") else 0.0
        same = math.isclose(own, value, abs_tol=near) if isinstance(value, Fraction) else own == value
        assert same, (found.key, name, own, value)


def assert_all_same(report: Report, rows: list[Record], key: Callable[[Record], Any]) -> None:
    by_key = wanted(rows, key)
    assert {row.key for row in report.rows} == set(by_key)
    for row in report.rows:
        assert_same(row, by_key[row.key])
    assert_same(report.total, wanted(rows, lambda row: None)[None])


@pytest.mark.parametrize("data", ["generated", "odd_data"])
@pytest.mark.parametrize("by", KEYS)
def test_figures_are_as_worked_out_apart(request: pytest.FixtureRequest, data: str, by: str) -> None:
    of: Data = request.getfixturevalue(data)
    report = usage_report(place_of(str(of.folder), Path()), key_of(by), ALWAYS)
    assert_all_same(report, of.rows, KEYS[by])


@pytest.mark.parametrize("data", ["generated", "odd_data"])
@pytest.mark.parametrize("by", ["endpoint", "model", "hour", "tag:team"])
def test_a_period_leaves_out_what_is_before_and_after_it(request: pytest.FixtureRequest, data: str, by: str) -> None:
    of: Data = request.getfixturevalue(data)
    assert of.period.since
    assert of.period.until
    rows = [row for row in of.rows if row["event_time"] and of.period.since <= row["event_time"] < of.period.until]
    report = usage_report(place_of(str(of.folder), Path()), key_of(by), of.period)
    assert_all_same(report, rows, KEYS[by])


def test_a_row_without_a_request_id_is_no_request(tmp_path: Path) -> None:
    write_delta([pa.Table.from_pylist([odd(status_code=500), odd(request_id="a")], schema=SCHEMA)], tmp_path / "usage")
    total = usage_report(place_of(str(tmp_path / "usage"), Path()), key_of("endpoint"), ALWAYS).total
    assert (total.invocations, total.requests, total.failed_requests) == (2, 1, 0)


WRITTEN = {
    "plain": "",
    "of_reader_version_3": "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', "
    "'delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '1')",
    "column_mapping": "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
    "partitioned": "PARTITIONED BY (workspace_id)",
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_tables_as_spark_writes_them_are_read_right(
    spark: SparkSession, usage: Usage, tmp_path: Path, kind: str
) -> None:
    folder, name = tmp_path / "with blank" / "usage", f"days.{kind}"
    spark.sql(
        f"CREATE TABLE {name} USING DELTA {WRITTEN[kind]} LOCATION '{folder}' AS SELECT * FROM {usage.table} "
        "WHERE event_time < TIMESTAMP'2026-08-10 00:00:00Z'"
    )
    if kind == "column_mapping":
        spark.sql(f"ALTER TABLE {name} RENAME COLUMN requester TO was_requester")
        spark.sql(f"ALTER TABLE {name} RENAME COLUMN ip_address TO requester")
    spark.sql(f"DELETE FROM {name} WHERE endpoint_name = 'risk-llm' OR status_code = 429")
    report = usage_report(place_of(str(folder), Path()), key_of("endpoint"), ALWAYS)
    columns = {"requester": "ip_address"} if kind == "column_mapping" else {}
    left = [
        row | {"cost_usd": None} | {name: row[source] for name, source in columns.items()}
        for row in map(with_possible_tokens, usage.rows.to_pylist())
        if row["event_time"] and row["event_time"] < datetime(2026, 8, 10, tzinfo=UTC)
        if row["endpoint_name"] != "risk-llm" and row["status_code"] != 429
    ]
    assert_all_same(report, left, field("endpoint_name"))
