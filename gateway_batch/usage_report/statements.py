"""The SQL of a report, for DuckDB. Only names from here are in its text; what people give comes by variables.

A request is a distinct request_id of a UTC day, and nearly all have one row. So rows are counted first (`PARTS`), as if
each were a request of its own, which needs no request_id; the few whose request_id may come again, or is NULL, are
grouped by it (`REPEATS`) to put the counts right. Equal `HASHES` say which may: one too many changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    "cache_read_input_tokens": "token_details['cache_read_input_tokens']",
    "cache_creation_input_tokens": "token_details['cache_creation_input_tokens']",
}
"""What every report reads, and from which column of the usage table."""

OF_KEYS = {
    "workspace_id": "workspace_id",
    "api_type": "api_type",
    "request_tags": "request_tags",
    "source": "invocation_metadata['source']",
    "error_kind": "client_metadata['error_kind']",
}
"""What a report by some keys reads beside."""

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

# `//` cuts towards zero, so times before 1970 are made positive for it: no table has times from before the year 1.
_SHIFT_DAYS = 1_000_000
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000

MODELS = r"""
CREATE TABLE models AS
SELECT
  destination_model,
  regexp_replace(
    regexp_replace(lower(trim(destination_model, ' ')), '^(system\.ai\.)?(databricks-)?', ''), '[ ._]+', '-', 'g'
  ) AS model
FROM (SELECT DISTINCT destination_model FROM records)"""


def _number_of(time: str, unit_us: int) -> str:
    """Days or hours since 1970, UTC."""
    shift_us = _SHIFT_DAYS * _DAY_US
    return f"((epoch_us({time}) + {shift_us}) // {unit_us} - {shift_us // unit_us})"


_INVOCATIONS = f"""
CREATE VIEW invocations AS
SELECT
  {{key}} AS key,
  *
FROM (
  SELECT
    *,
    {_number_of("event_time", _DAY_US)} AS day,
    {_number_of("event_time", _HOUR_US)} AS hour
  FROM records
)
{{models}}{{where}}"""

HASHES = "SELECT hash(request_id) AS request_hash FROM invocations"

REPEATS = """
CREATE TABLE repeats AS
SELECT
  key,
  day,
  request_id,
  count(*) AS invocations,
  count_if(status_code >= 400) AS failed,
  count_if(status_code IS NULL) AS unknown
FROM invocations
WHERE request_id IS NULL OR hash(request_id) IN (FROM candidates)
GROUP BY ALL"""

PARTS = """
CREATE TABLE parts AS
SELECT
  key,
  day,
  endpoint_name,
  destination_model,
  coalesce(input_tokens, output_tokens, total_tokens) IS NOT NULL AS has_tokens,
  count(*) AS invocations,
  count_if(status_code >= 400) AS failed,
  count_if(status_code IS NULL) AS unknown,
  sum(input_tokens) AS input_tokens,
  sum(output_tokens) AS output_tokens,
  sum(total_tokens) AS total_tokens,
  sum(cache_read_input_tokens) AS cache_read,
  sum(cache_creation_input_tokens) AS cache_creation,
  sum(greatest(
    coalesce(input_tokens, 0) - coalesce(cache_read_input_tokens, 0) - coalesce(cache_creation_input_tokens, 0), 0
  )) AS plain,
  min(event_time)::TIMESTAMPTZ AS first_time,
  max(event_time)::TIMESTAMPTZ AS last_time
FROM invocations
GROUP BY ALL"""

SPREADS = """
CREATE TABLE spreads AS
SELECT
  grouping(key) = 1 AS is_total,
  key,
  count(DISTINCT requester) AS users,
  quantile_cont(latency_ms, [0.5, 0.95]) FILTER (WHERE status_code IS NOT NULL) AS latencies
FROM invocations
GROUP BY GROUPING SETS ((key), ())"""

_PRICE_DAYS = f"""
  SELECT
    endpoint_name,
    model,
    first_day,
    least(last_day, lead(first_day) OVER (PARTITION BY endpoint_name, model ORDER BY first_day)) AS last_day,
    {{'input': input_usd_per_million,
      'output': output_usd_per_million,
      'cache_read': coalesce(cache_read_usd_per_million, input_usd_per_million),
      'cache_creation': coalesce(cache_creation_usd_per_million, input_usd_per_million)}} AS price
  FROM (
    SELECT *, {_number_of("valid_from", _DAY_US)} AS first_day, {_number_of("valid_to", _DAY_US)} AS last_day
    FROM prices
    WHERE last_day IS NULL OR last_day > first_day
    QUALIFY row_number() OVER (
      PARTITION BY endpoint_name, model, first_day ORDER BY valid_from DESC NULLS LAST, added_at DESC NULLS LAST) = 1
  )"""

# In millionths of a dollar, to 6 places: DuckDB's decimals have no room for 12.
COSTS = f"""
CREATE TABLE costs AS
WITH price_days AS ({_PRICE_DAYS}
),
priced AS (
  SELECT part.*, coalesce(of_both.price, of_endpoint.price, of_model.price) AS price
  FROM (FROM parts LEFT JOIN models USING (destination_model)) AS part
  LEFT JOIN price_days AS of_both
    ON part.endpoint_name = of_both.endpoint_name AND part.model = of_both.model
    AND part.day >= of_both.first_day AND (of_both.last_day IS NULL OR part.day < of_both.last_day)
  LEFT JOIN price_days AS of_endpoint
    ON part.endpoint_name = of_endpoint.endpoint_name AND of_endpoint.model IS NULL
    AND part.day >= of_endpoint.first_day AND (of_endpoint.last_day IS NULL OR part.day < of_endpoint.last_day)
  LEFT JOIN price_days AS of_model
    ON of_model.endpoint_name IS NULL AND part.model = of_model.model
    AND part.day >= of_model.first_day AND (of_model.last_day IS NULL OR part.day < of_model.last_day)
)
SELECT
  * EXCLUDE (price),
  CASE WHEN has_tokens THEN
    plain::DECIMAL(20, 0) * price.input
    + coalesce(cache_read, 0)::DECIMAL(20, 0) * price.cache_read
    + coalesce(cache_creation, 0)::DECIMAL(20, 0) * price.cache_creation
    + coalesce(output_tokens, 0)::DECIMAL(20, 0) * price.output
  END AS cost
FROM priced"""

FIGURES = """
WITH sums AS (
  SELECT
    grouping(key) = 1 AS is_total,
    key,
    coalesce(sum(invocations), 0) AS invocations,
    coalesce(sum(failed), 0) AS failed,
    coalesce(sum(unknown), 0) AS unknown,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens,
    coalesce(sum(cache_read), 0) AS cache_read,
    sum(cost) AS cost,
    coalesce(sum(total_tokens) FILTER (WHERE has_tokens AND cost IS NULL), 0) AS unpriced_tokens,
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
  input_tokens,
  output_tokens,
  total_tokens,
  cache_read,
  users,
  latencies[1],
  latencies[2],
  cost,
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
    return ", ".join(f"{sources[name]} AS {name}" for name in names)
