-- One row for each UTC hour: requests and tokens; a heat map is these by weekday and hour of the day.
--
-- A request counts in each hour that has a row of it. Hours without rows are missing. The terms are those of
-- usage_invocations.
--
-- Columns:
-- hour: Begin of the UTC hour; NULL for rows without a time.
-- day: UTC date.
-- weekday: 0 for Monday to 6 for Sunday, UTC.
-- hour_of_day: 0 to 23, UTC.
-- requests: Requests, failed and unknown ones included.
-- failed_requests: Of these, with a status of 400 or more.
-- unknown_requests: Of these, without any status.
-- error_rate: Failed requests by requests; NULL without requests.
-- input_tokens: Tokens of prompts, cached ones included.
-- output_tokens: Tokens of answers, reasoning included.
-- total_tokens: Tokens of both.
WITH requests AS (
  SELECT
    hour,
    day,
    weekday,
    hour_of_day,
    request_id,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens
  FROM {schema}.usage_invocations
  GROUP BY hour, day, weekday, hour_of_day, request_id
)
SELECT
  hour,
  day,
  weekday,
  hour_of_day,
  count(request_id) AS requests,
  count_if(is_failed AND request_id IS NOT NULL) AS failed_requests,
  count_if(NOT is_answered AND request_id IS NOT NULL) AS unknown_requests,
  count_if(is_failed AND request_id IS NOT NULL) / nullif(count(request_id), 0) AS error_rate,
  coalesce(sum(input_tokens), 0) AS input_tokens,
  coalesce(sum(output_tokens), 0) AS output_tokens,
  coalesce(sum(total_tokens), 0) AS total_tokens
FROM requests
GROUP BY hour, day, weekday, hour_of_day
