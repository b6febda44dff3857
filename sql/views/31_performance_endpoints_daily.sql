-- One row for each UTC day, endpoint and model: latency percentiles, time to first byte, error rate.
--
-- Percentiles are interpolated between the two nearest values, over invocations that have a status, failed ones and
-- guardrails' included: exact, but of days from the aggregate within 2% or 1 ms. They can't be added up or averaged over
-- rows: for other groups ask usage_distributions.
-- A request counts in each row that has an invocation of it.
CREATE OR REPLACE VIEW {schema}.performance_endpoints_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  endpoint_name COMMENT 'Endpoint as the caller wrote it.',
  model COMMENT 'Model that answered, spelled as in usage_invocations; NULL where the call was refused before it was routed, and for tools.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  answered_invocations COMMENT 'Invocations with a status, over which percentiles are computed.',
  latency_p50_ms COMMENT 'Milliseconds to the end of the answer, median; NULL where no invocation has a status.',
  latency_p90_ms COMMENT 'Milliseconds to the end of the answer, 90th percentile; NULL where no invocation has a status.',
  latency_p95_ms COMMENT 'Milliseconds to the end of the answer, 95th percentile; NULL where no invocation has a status.',
  latency_p99_ms COMMENT 'Milliseconds to the end of the answer, 99th percentile; NULL where no invocation has a status.',
  time_to_first_byte_p50_ms COMMENT 'Milliseconds to the first byte of the answer, median; NULL where no invocation has a status.',
  time_to_first_byte_p90_ms COMMENT 'Milliseconds to the first byte of the answer, 90th percentile; NULL where no invocation has a status.',
  time_to_first_byte_p95_ms COMMENT 'Milliseconds to the first byte of the answer, 95th percentile; NULL where no invocation has a status.',
  time_to_first_byte_p99_ms COMMENT 'Milliseconds to the first byte of the answer, 99th percentile; NULL where no invocation has a status.'
)
COMMENT 'One row for each UTC day, endpoint and model: latency percentiles, time to first byte, error rate. By gateway_batch.'
AS
WITH requests AS (
  SELECT
    day,
    endpoint_name,
    model,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(invocations) FILTER (WHERE is_answered) AS answered_invocations
  FROM {schema}.usage_cells
  GROUP BY day, endpoint_name, model, request_group
),
counted AS (
  SELECT
    day,
    endpoint_name,
    model,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(answered_invocations), 0) AS answered_invocations
  FROM requests
  GROUP BY day, endpoint_name, model
),
latencies AS (
  SELECT
    day,
    endpoint_name,
    model,
    percentile(latency_ms, array(0.5, 0.9, 0.95, 0.99), invocations) AS latency_ms,
    percentile(time_to_first_byte_ms, array(0.5, 0.9, 0.95, 0.99), invocations) AS time_to_first_byte_ms
  FROM {schema}.usage_distributions
  WHERE (latency_ms IS NOT NULL OR time_to_first_byte_ms IS NOT NULL)
  GROUP BY day, endpoint_name, model
)
SELECT
  counted.day,
  counted.endpoint_name,
  counted.model,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  answered_invocations,
  latency_ms[0] AS latency_p50_ms,
  latency_ms[1] AS latency_p90_ms,
  latency_ms[2] AS latency_p95_ms,
  latency_ms[3] AS latency_p99_ms,
  time_to_first_byte_ms[0] AS time_to_first_byte_p50_ms,
  time_to_first_byte_ms[1] AS time_to_first_byte_p90_ms,
  time_to_first_byte_ms[2] AS time_to_first_byte_p95_ms,
  time_to_first_byte_ms[3] AS time_to_first_byte_p99_ms
FROM counted
LEFT JOIN latencies
  ON counted.day <=> latencies.day
  AND counted.endpoint_name <=> latencies.endpoint_name
  AND counted.model <=> latencies.model
