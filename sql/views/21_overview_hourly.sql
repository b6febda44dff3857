-- One row for each UTC hour: requests and tokens; a heat map is these by weekday and hour of the day.
--
-- Always from the usage table's rows. A request counts in each hour that has a row of it. Hours without rows are missing.
-- The terms are those of usage_invocations.
CREATE OR REPLACE VIEW {schema}.overview_hourly (
  hour COMMENT 'Begin of the UTC hour; NULL for rows without a time.',
  day COMMENT 'UTC date; NULL for rows without a time.',
  weekday COMMENT '0 for Monday to 6 for Sunday, UTC.',
  hour_of_day COMMENT '0 to 23, UTC.',
  requests COMMENT 'Distinct requests of the hour, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.'
)
COMMENT 'One row for each UTC hour: requests and tokens; a heat map is these by weekday and hour of the day. By gateway_batch.'
AS
WITH cells AS (
  SELECT *, request_id AS request_group, CAST(request_id IS NOT NULL AS BIGINT) AS requests
  FROM {schema}.usage_invocations
),
requests AS (
  SELECT
    hour,
    day,
    weekday,
    hour_of_day,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens
  FROM cells
  GROUP BY hour, day, weekday, hour_of_day, request_group
),
counted AS (
  SELECT
    hour,
    day,
    weekday,
    hour_of_day,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens
  FROM requests
  GROUP BY hour, day, weekday, hour_of_day
)
SELECT
  hour,
  day,
  weekday,
  hour_of_day,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  input_tokens,
  output_tokens,
  total_tokens
FROM counted
