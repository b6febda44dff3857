-- One row for each UTC day and request tag, key and value: requests and tokens.
--
-- A request with several tags counts in a row of each: rows don't add up to a day's total. Requests without any tag are
-- in the row whose tag_key is NULL.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- tag_key: Key of the tag; NULL for invocations without tags.
-- tag_value: Value of the tag.
-- requests: Requests, failed and unknown ones included.
-- failed_requests: Of these, with a status of 400 or more.
-- unknown_requests: Of these, without any status.
-- error_rate: Failed requests by requests; NULL without requests.
-- input_tokens: Tokens of prompts, cached ones included.
-- output_tokens: Tokens of answers, reasoning included.
-- total_tokens: Tokens of both.
WITH tagged AS (
  SELECT day, tag.key AS tag_key, tag.value AS tag_value, request_group, requests, is_failed, is_answered,
    input_tokens, output_tokens, total_tokens
  FROM {schema}.usage_cells
  LATERAL VIEW OUTER explode(map_entries(request_tags)) AS tag
),
requests AS (
  SELECT
    day,
    tag_key,
    tag_value,
    request_group,
    max(requests) AS requests,
    bool_or(is_failed) AS is_failed,
    bool_or(is_answered) AS is_answered,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens
  FROM tagged
  GROUP BY day, tag_key, tag_value, request_group
)
SELECT
  day,
  tag_key,
  tag_value,
  coalesce(sum(requests), 0) AS requests,
  coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
  coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
  coalesce(sum(requests) FILTER (WHERE is_failed), 0) / nullif(coalesce(sum(requests), 0), 0) AS error_rate,
  coalesce(sum(input_tokens), 0) AS input_tokens,
  coalesce(sum(output_tokens), 0) AS output_tokens,
  coalesce(sum(total_tokens), 0) AS total_tokens
FROM requests
GROUP BY day, tag_key, tag_value
