-- One row for each UTC day: latency percentiles, time to first byte, error rate.
--
-- Percentiles are interpolated between the two nearest values, over invocations that have a status, failed ones and
-- guardrails' included: exact, but of days from the aggregate within 2% or 1 ms. They can't be added up or averaged over
-- rows: for other groups ask usage_distributions.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- requests: Requests, failed and unknown ones included.
-- failed_requests: Of these, with a status of 400 or more.
-- unknown_requests: Of these, without any status.
-- error_rate: Failed requests by requests; NULL without requests.
-- answered_invocations: Invocations with a status, that the percentiles are of.
-- latency_p50_ms: Milliseconds to the end of the answer, median; NULL where none is known.
-- latency_p90_ms: The same, 90th percentile.
-- latency_p95_ms: The same, 95th percentile.
-- latency_p99_ms: The same, 99th percentile.
-- time_to_first_byte_p50_ms: Milliseconds to the first byte of the answer, median; NULL where none is known.
-- time_to_first_byte_p90_ms: The same, 90th percentile.
-- time_to_first_byte_p95_ms: The same, 95th percentile.
-- time_to_first_byte_p99_ms: The same, 99th percentile.
WITH latencies AS (
  SELECT
    day,
    percentile(latency_ms, array(0.5, 0.9, 0.95, 0.99), invocations) AS latency,
    percentile(time_to_first_byte_ms, array(0.5, 0.9, 0.95, 0.99), invocations) AS first_byte
  FROM {schema}.usage_distributions
  WHERE latency_ms IS NOT NULL OR time_to_first_byte_ms IS NOT NULL
  GROUP BY day
),
requests AS (
  SELECT
    day,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(answered_invocations), 0) AS answered_invocations
  FROM (
    SELECT
      day,
      request_group,
      max(requests) AS requests,
      bool_or(is_failed) AS is_failed,
      bool_or(is_answered) AS is_answered,
      sum(invocations) FILTER (WHERE is_answered) AS answered_invocations
    FROM {schema}.usage_cells
    GROUP BY day, request_group
  )
  GROUP BY day
)
SELECT
  requests.day,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  answered_invocations,
  latency[0] AS latency_p50_ms,
  latency[1] AS latency_p90_ms,
  latency[2] AS latency_p95_ms,
  latency[3] AS latency_p99_ms,
  first_byte[0] AS time_to_first_byte_p50_ms,
  first_byte[1] AS time_to_first_byte_p90_ms,
  first_byte[2] AS time_to_first_byte_p95_ms,
  first_byte[3] AS time_to_first_byte_p99_ms
FROM requests
LEFT JOIN latencies
  ON requests.day <=> latencies.day
