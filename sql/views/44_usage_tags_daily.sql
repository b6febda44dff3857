-- One row for each UTC day and request tag, key and value: requests and tokens.
--
-- A request with several tags counts in a row of each: rows don't add up to a day's total. Requests without any tag are
-- in the row whose tag_key is NULL.
CREATE OR REPLACE VIEW {schema}.usage_tags_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  tag_key COMMENT 'Key of the tag; NULL for invocations without tags.',
  tag_value COMMENT 'Value of the tag; NULL for invocations without tags.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  unknown_requests COMMENT 'Requests without any status: nobody saw the answer.',
  error_rate COMMENT 'Failed requests divided by requests; NULL without requests.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.'
)
COMMENT 'One row for each UTC day and request tag, key and value: requests and tokens. By gateway_batch.'
AS
WITH tagged AS (
  SELECT *, tag.key AS tag_key, tag.value AS tag_value
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
),
counted AS (
  SELECT
    day,
    tag_key,
    tag_value,
    coalesce(sum(requests), 0) AS requests,
    coalesce(sum(requests) FILTER (WHERE is_failed), 0) AS failed_requests,
    coalesce(sum(requests) FILTER (WHERE NOT is_answered), 0) AS unknown_requests,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(total_tokens), 0) AS total_tokens
  FROM requests
  GROUP BY day, tag_key, tag_value
)
SELECT
  day,
  tag_key,
  tag_value,
  requests,
  failed_requests,
  unknown_requests,
  failed_requests / nullif(requests, 0) AS error_rate,
  input_tokens,
  output_tokens,
  total_tokens
FROM counted
