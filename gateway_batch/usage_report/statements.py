"""The SQL of a report, for DuckDB. Only names from here are in its text; what people give comes by variables.

A request is a distinct request_id of a UTC day, and nearly all have one row. So rows are counted first (`PARTS`), as if
each were a request of its own, which needs no request_id; the few whose request_id may come again, or is NULL, are
grouped by it (`REPEATS`) to put the counts right. Equal `HASHES` say which may: one too many changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway_batch.figures import callers, costs, outcomes, price_days, tokens
from gateway_batch.figures.definitions import FIGURES
from gateway_batch.figures.dialects import DAY_S, DUCKDB, HOUR_S
from gateway_batch.figures.percentiles import percentiles
from gateway_batch.usage_report.keys import Key
from gateway_batch.usage_report.period import Period

COLUMNS = {
    "event_time": "event_time",
    "request_id": "request_id",
    "endpoint_name": "endpoint_name",
    "destination_model": "destination_model",
    "requester": "requester",
    "status_code": "status_code",
    "latency_ms": "latency_ms",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cache_read_input_tokens": "token_details.cache_read_input_tokens",
    "cache_creation_input_tokens": "token_details.cache_creation_input_tokens",
    "source": "invocation_metadata.source",
}
"""What every report reads, and from which column, or field of one, of the usage table."""

OF_KEYS = {
    "workspace_id": "workspace_id",
    "api_type": "api_type",
    "request_tags": "request_tags",
    "error_kind": "client_metadata.error_kind",
    "user_agent": "user_agent",
    "coding_agent": callers.CODING_AGENT,
    "smart_router": "session_metadata.smart_router_name",
    "client_session_id": "session_metadata.client_session_id",
}
"""What a report by some keys reads besides."""

PRICE_COLUMNS = (
    "endpoint_name", "model", "valid_from", "valid_to", "input_usd_per_million", "output_usd_per_million",
    "cache_read_usd_per_million", "cache_creation_usd_per_million", "added_at",
)  # fmt: skip
"""What is read of the table of prices."""

NO_PRICES = """
CREATE TABLE prices (
  endpoint_name VARCHAR, model VARCHAR, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ,
  input_usd_per_million DECIMAL(18, 6), output_usd_per_million DECIMAL(18, 6),
  cache_read_usd_per_million DECIMAL(18, 6), cache_creation_usd_per_million DECIMAL(18, 6), added_at TIMESTAMPTZ
)"""

MODELS = f"""
CREATE TABLE models AS
SELECT destination_model, {tokens.model("destination_model", DUCKDB)} AS model
FROM (SELECT DISTINCT destination_model FROM records)"""

_INVOCATIONS = f"""
CREATE VIEW invocations AS
SELECT
  {{key}} AS key,
  *
FROM (
  SELECT
    *,
    {DUCKDB.units_since_1970("event_time", DAY_S)} AS day,
    {DUCKDB.units_since_1970("event_time", HOUR_S)} AS hour
  FROM records
)
{{models}}{{where}}"""

HASHES = "SELECT hash(request_id) AS request_hash FROM invocations"

REPEATS = f"""
CREATE TABLE repeats AS
SELECT
  key,
  day,
  request_id,
  count(*) AS invocations,
  count_if({outcomes.FAILED}) AS failed,
  count_if({outcomes.UNKNOWN}) AS unknown
FROM invocations
WHERE request_id IS NULL OR hash(request_id) IN (FROM candidates)
GROUP BY ALL"""

_PLAIN_INPUT = tokens.plain_input("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

PARTS = f"""
CREATE TABLE parts AS
SELECT
  key,
  day,
  endpoint_name,
  destination_model,
  source,
  {tokens.has_tokens()} AS has_tokens,
  count(*) AS invocations,
  count_if({outcomes.FAILED}) AS failed,
  count_if({outcomes.UNKNOWN}) AS unknown,
  sum(input_tokens) AS input_tokens,
  sum(output_tokens) AS output_tokens,
  sum(total_tokens) AS total_tokens,
  sum(cache_read_input_tokens) AS cache_read_input_tokens,
  sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
  sum({_PLAIN_INPUT}) AS plain_input_tokens,
  min(event_time)::TIMESTAMPTZ AS first_time,
  max(event_time)::TIMESTAMPTZ AS last_time
FROM invocations
GROUP BY ALL"""

SPREADS = f"""
CREATE TABLE spreads AS
SELECT
  grouping(key) = 1 AS is_total,
  key,
  {FIGURES["users"].computed.sql} AS users,
  {percentiles("latency_ms", (50, 95), DUCKDB)} FILTER (WHERE {outcomes.ANSWERED}) AS latencies
FROM invocations
GROUP BY GROUPING SETS ((key), ())"""

# To 6 places: DuckDB's decimals have no room for the 12 of dollars.
_MILLIONTHS_USD = " + ".join(costs.millionths_usd(DUCKDB, costs.price_fields("price")))

COSTS = f"""
CREATE TABLE costs AS
WITH price_days AS (
{price_days.price_days(DUCKDB, "prices")}
),
priced AS (
  SELECT part.*, {price_days.PRICE} AS price
  FROM (FROM parts LEFT JOIN models USING (destination_model)) AS part
{price_days.joins("part", "price_days")}
)
SELECT
  * EXCLUDE (price),
  CASE WHEN has_tokens THEN {_MILLIONTHS_USD} END AS millionths_usd
FROM priced"""

_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens")
_TOKEN_SUMS = ", ".join(f"{FIGURES[name].computed.sql} AS {name}" for name in _TOKENS)

REPORT = f"""
WITH sums AS (
  SELECT
    grouping(key) = 1 AS is_total,
    key,
    coalesce(sum(invocations), 0) AS invocations,
    coalesce(sum(failed), 0) AS failed,
    coalesce(sum(unknown), 0) AS unknown,
    {_TOKEN_SUMS},
    sum(millionths_usd) AS millionths_usd,
    coalesce(sum({costs.unpriced("total_tokens", "millionths_usd")}), 0) AS unpriced_tokens,
    min(first_time) AS first_time,
    max(last_time) AS last_time
  FROM costs
  GROUP BY GROUPING SETS ((key), ())
),
again AS (
  SELECT false AS is_total, * FROM repeats
  UNION ALL
  SELECT true, NULL, day, request_id, sum(invocations), sum(failed), sum(unknown)
  FROM repeats
  GROUP BY day, request_id
),
-- By how much the counts of rows are above those of requests.
excess AS (
  SELECT
    is_total,
    key,
    sum(invocations) - count(request_id) AS requests,
    sum(failed) - count_if(failed > 0 AND request_id IS NOT NULL) AS failed,
    sum(unknown) - count_if(unknown = invocations AND request_id IS NOT NULL) AS unknown
  FROM again
  GROUP BY is_total, key
)
SELECT
  sums.is_total,
  sums.key,
  sums.invocations - coalesce(excess.requests, 0),
  sums.failed - coalesce(excess.failed, 0),
  sums.unknown - coalesce(excess.unknown, 0),
  sums.invocations,
  {", ".join(_TOKENS)},
  users,
  latencies[1],
  latencies[2],
  millionths_usd,
  unpriced_tokens,
  first_time,
  last_time
FROM sums
JOIN spreads ON sums.is_total = spreads.is_total AND sums.key IS NOT DISTINCT FROM spreads.key
LEFT JOIN excess ON sums.is_total = excess.is_total AND sums.key IS NOT DISTINCT FROM excess.key"""


def invocations(key: Key, period: Period) -> str:
    """The view that the other statements read: rows of the period, with the key of each."""
    limits = [
        f"event_time::TIMESTAMPTZ {compared} getvariable('{name}')"
        for name, compared, limit in (("since", ">=", period.since), ("until", "<", period.until))
        if limit is not None
    ]
    where = f"WHERE {' AND '.join(limits)}" if limits else ""
    models = "LEFT JOIN models USING (destination_model)\n" if key.sql == "model" else ""
    return _INVOCATIONS.format(key=key.sql, models=models, where=where)


def projection(names: Iterable[str]) -> str:
    """Columns of a usage table by the names of `COLUMNS` and `OF_KEYS`, for DuckDB and DataFusion alike."""
    sources = COLUMNS | OF_KEYS
    return ", ".join(f"{_value(name, _column(sources[name]))} AS {name}" for name in names)


def _value(name: str, column: str) -> str:
    return tokens.possible(column) if name.endswith("_tokens") else column


def _column(path: str) -> str:
    column, *fields = path.split(".")
    return column + "".join(f"['{name}']" for name in fields)
