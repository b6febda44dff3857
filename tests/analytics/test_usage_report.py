"""The report without Spark against SQL over the view `usage_invocations`, and over tables as Spark writes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.spark.usage_table import literal
from gateway_batch.usage.arrow import SCHEMA
from gateway_batch.usage_report import ALWAYS, Period, key_of, place_of
from gateway_batch.usage_report.report import Figures, usage_report
from tests.analytics.usage_views import OWN_PRICES, add_prices, make
from tests.usage_days import usage_days

KEYS = {
    "endpoint": "endpoint_name", "model": "model", "requester": "requester", "status": "status_code", "day": "day",
    "hour": "hour", "workspace": "workspace_id", "api": "api_type", "source": "source",
    "tag:team": "request_tags['team']", 'tag:cost "center"': "request_tags['cost \"center\"']",
    "tag:it's 🧾": "request_tags['it\\'s 🧾']",
}  # fmt: skip
MID = datetime(2026, 8, 5, 12, tzinfo=UTC)

BY_VIEWS = """
WITH rows AS (SELECT *, {key} AS key FROM {schema}.usage_invocations WHERE {where}),
requests AS (
  SELECT key, day, request_id, max(is_failed) AS failed, max(is_answered) AS answered
  FROM rows WHERE request_id IS NOT NULL GROUP BY key, day, request_id),
counted AS (
  SELECT key, count(*) AS requests, count_if(failed) AS failed_requests, count_if(NOT answered) AS unknown_requests
  FROM requests GROUP BY key),
sums AS (
  SELECT key, count(*) AS invocations, coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens, coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens, count(DISTINCT requester) AS users,
    percentile(latency_ms, 0.5) AS latency_p50_ms, percentile(latency_ms, 0.95) AS latency_p95_ms
  FROM rows GROUP BY key)
SELECT sums.*, coalesce(requests, 0) AS requests, coalesce(failed_requests, 0) AS failed_requests,
  coalesce(unknown_requests, 0) AS unknown_requests
FROM sums LEFT JOIN counted ON sums.key <=> counted.key
"""


def odd(**columns: Any) -> dict[str, Any]:
    row = {name: None for name in SCHEMA.names} | {"event_time": datetime(2026, 8, 3, 23, 59, 59, tzinfo=UTC)}
    return row | columns


NEXT_DAY = datetime(2026, 8, 4, tzinfo=UTC)
TAGS = [("team", 'größe "q"'), ("it's 🧾", "4711 🧾"), ('cost "center"', "'; --")]
ODD = [
    odd(event_time=None),
    odd(request_id="a", status_code=200, latency_ms=5, request_tags=TAGS, requester="ana", endpoint_name="e'1"),
    odd(request_id="a", status_code=503, latency_ms=9, request_tags=TAGS, endpoint_name="e'1"),
    odd(request_id="a", event_time=NEXT_DAY, status_code=200, destination_model=" GPT 5.4 ", input_tokens=7),
    odd(request_id="b"),
    odd(request_id="b", status_code=200, destination_model="system.ai.databricks-gpt_5.4", output_tokens=10**14),
    odd(request_id="c", endpoint_name="risk-llm", destination_model="Llama 3.3 70B", input_tokens=100, output_tokens=3),
    odd(request_id="c", destination_model="llama-3-3-70b", input_tokens=100, event_time=MID,
        token_details={"cache_read_input_tokens": 60, "cache_creation_input_tokens": 70}),
    odd(status_code=500, total_tokens=4),
    odd(request_id="y9999", event_time=datetime(9999, 12, 31, 23, tzinfo=UTC), status_code=404),
    odd(request_id="y1969", event_time=datetime(1969, 12, 31, 23, 30, tzinfo=UTC), status_code=None),
]  # fmt: skip


@dataclass(frozen=True)
class Data:
    schema: str
    folder: Path


@pytest.fixture(scope="module", params=["generated", "odd"])
def data(request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder, schema = tmp_path_factory.mktemp("report"), f"report_{request.param}"
    real = request.param == "generated"
    tables = usage_days(8000, 4, client_metadata=False) if real else iter([pa.Table.from_pylist(ODD, schema=SCHEMA)])
    table = make(spark, schema, folder / "usage", tables)
    gb.create_views(spark, table, schema)
    add_prices(spark, schema, OWN_PRICES)
    spark.table(f"{schema}.prices").write.format("delta").save(str(folder / "prices"))
    return Data(schema, folder / "usage")


def assert_same(found: Figures, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name == "key":
            continue
        own = getattr(found, name)
        same = math.isclose(own, value, abs_tol=1e-5) if isinstance(value, float) else own == value
        assert same, (found.key, name, own, value)


def in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def rows_of(spark: SparkSession, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = spark.sql(query).toArrow().to_pylist()
    return rows


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("period", [ALWAYS, Period(NEXT_DAY, MID)], ids=["always", "period"])
def test_figures_are_those_of_the_views(spark: SparkSession, data: Data, by: str, period: Period) -> None:
    where = "true"
    if period.since and period.until:
        where = "event_time >= TIMESTAMP'2026-08-04 00:00:00Z' AND event_time < TIMESTAMP'2026-08-05 12:00:00Z'"
    report = usage_report(place_of(str(data.folder), Path()), key_of(by), period)
    query = BY_VIEWS.format(key=KEYS[by], schema=data.schema, where=where)
    wanted = {in_utc(row["key"]): row for row in rows_of(spark, query)}
    assert {row.key for row in report.rows} == set(wanted)
    for row in report.rows:
        assert_same(row, wanted[row.key])
    (total,) = rows_of(spark, BY_VIEWS.format(key="'all'", schema=data.schema, where=where))
    assert_same(report.total, total)


@pytest.mark.parametrize(
    ("by", "view", "column"),
    [("endpoint", "cost_endpoints_daily", "endpoint_name"), ("model", "cost_models_daily", "model"),
     ("requester", "cost_requesters_daily", "requester"), ("day", "cost_daily", "day")],
)  # fmt: skip
def test_costs_are_those_of_the_views(spark: SparkSession, data: Data, by: str, view: str, column: str) -> None:
    report = usage_report(place_of(str(data.folder), Path()), key_of(by), ALWAYS)
    wanted = rows_of(
        spark,
        f"SELECT {column} AS key, sum(priced_cost_usd) AS priced_cost_usd, sum(unpriced_tokens) AS unpriced_tokens "
        f"FROM {data.schema}.{view} GROUP BY 1",
    )
    by_key = {row["key"]: row for row in wanted}
    assert {row.key for row in report.rows} == set(by_key)
    for row in report.rows:
        assert_same(row, by_key[row.key])
    assert any(row.priced_cost_usd for row in report.rows)


WRITTEN = {
    "plain": "",
    "deletion_vectors": "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
    "column_mapping": "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
    "partitioned": "PARTITIONED BY (workspace_id)",
    "v2_checkpoint": "TBLPROPERTIES ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '1')",
}


@pytest.fixture(scope="module")
def source(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(spark, "report_source", tmp_path_factory.mktemp("source") / "usage", usage_days(3000, 2))


@pytest.mark.parametrize("kind", WRITTEN)
def test_tables_as_spark_writes_them_are_read_right(
    spark: SparkSession, source: str, tmp_path: Path, kind: str
) -> None:
    folder, name = tmp_path / "with blank" / "usage", f"report_source.{kind}"
    spark.sql(
        f"CREATE TABLE {name} USING DELTA {WRITTEN[kind]} LOCATION {literal(str(folder))} AS SELECT * FROM {source}"
    )
    if kind == "column_mapping":
        spark.sql(f"ALTER TABLE {name} RENAME COLUMN requester TO was_requester")
        spark.sql(f"ALTER TABLE {name} RENAME COLUMN ip_address TO requester")
    spark.sql(f"DELETE FROM {name} WHERE endpoint_name = 'risk-llm' OR status_code = 429")
    report = usage_report(place_of(str(folder), Path()), key_of("endpoint"), ALWAYS)
    wanted = rows_of(
        spark,
        "SELECT endpoint_name AS key, count(*) AS invocations, count(DISTINCT requester) AS users, "
        "coalesce(sum(input_tokens), 0) AS input_tokens, "
        f"coalesce(sum(token_details.cache_read_input_tokens), 0) AS cache_read_input_tokens FROM {name} GROUP BY 1",
    )
    by_key = {row["key"]: row for row in wanted}
    assert {row.key for row in report.rows} == set(by_key)
    assert "risk-llm" not in by_key
    for row in report.rows:
        assert_same(row, by_key[row.key])
