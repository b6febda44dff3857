-- Rows of usage_daily_sessions for some days of the usage table's rows.
WITH calls AS (
  SELECT
    *,
    client_session_id IS NULL AND event_time - lag(event_time) OVER (
      PARTITION BY day, coding_agent, requester, client_session_id
      ORDER BY event_time) > INTERVAL 30 MINUTES AS follows_gap
  FROM {schema}.usage_invocations
  WHERE coding_agent IS NOT NULL AND ({of_days})
),
calls_of_parts AS (
  SELECT
    *,
    count_if(follows_gap) OVER (PARTITION BY day, coding_agent, requester, client_session_id ORDER BY event_time) AS part
  FROM calls
),
numbered AS (
  SELECT
    *,
    request_id IS NOT NULL AND row_number() OVER (
      PARTITION BY day, coding_agent, requester, client_session_id, part, request_id
      ORDER BY is_failed DESC) = 1 AS is_request
  FROM calls_of_parts
),
entries AS (
  SELECT
    day,
    coding_agent,
    requester,
    client_session_id,
    part,
    client_subagent_id,
    endpoint_name,
    model,
    source,
    has_tokens,
    min(event_time) AS started_at,
    max(event_time) AS ended_at,
    count(*) AS invocations,
    count_if(is_request) AS requests,
    count_if(is_request AND is_failed) AS failed_requests,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
    sum(plain_input_tokens) AS plain_input_tokens
  FROM numbered
  GROUP BY day, coding_agent, requester, client_session_id, part, client_subagent_id, endpoint_name, model, source, has_tokens
)
SELECT
  day,
  coding_agent,
  requester,
  client_session_id,
  min(started_at) AS started_at,
  max(ended_at) AS ended_at,
  sum(invocations) AS invocations,
  sum(requests) AS requests,
  sum(failed_requests) AS failed_requests,
  collect_list(struct(client_subagent_id, endpoint_name, model, source, has_tokens, input_tokens, output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens, plain_input_tokens)) AS tokens
FROM entries
GROUP BY day, coding_agent, requester, client_session_id, part
