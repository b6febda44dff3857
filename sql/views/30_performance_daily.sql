-- One row for each UTC day: latency percentiles, time to first byte, error rate.
--
-- Percentiles are exact, interpolated between the two nearest values, over invocations that have a status, failed ones
-- and guardrails' included. They can't be added up or averaged over rows: for other groups ask usage_invocations.
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
    count_if(is_answered) AS answered_invocations,
    percentile(latency_ms, array(0.5, 0.9, 0.95, 0.99)) AS latency,
    percentile(time_to_first_byte_ms, array(0.5, 0.9, 0.95, 0.99)) AS first_byte
  FROM {schema}.usage_invocations
  GROUP BY day
),
requests AS (
  SELECT
    day,
    count(request_id) AS requests,
    count_if(is_failed AND request_id IS NOT NULL) AS failed_requests,
    count_if(NOT is_answered AND request_id IS NOT NULL) AS unknown_requests
  FROM (
    SELECT day, request_id, bool_or(is_failed) AS is_failed, bool_or(is_answered) AS is_answered
    FROM {schema}.usage_invocations
    GROUP BY day, request_id
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
JOIN latencies ON requests.day <=> latencies.day
