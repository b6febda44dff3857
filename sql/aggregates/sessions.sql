-- The 1,000 sessions of coding agents that cost most of some parts: those of the view coding_agents_sessions, had
-- usage_session_parts no other rows.
WITH timed_parts AS (
  SELECT
    *,
    lag(ended_at) OVER (PARTITION BY coding_agent, requester, client_session_id ORDER BY started_at) AS ended_before
  FROM {parts}
),
parts AS (
  SELECT
    *,
    started_at IS NOT NULL AND (
      ended_before IS NULL
      OR client_session_id IS NULL AND started_at - ended_before > INTERVAL 30 MINUTES
    ) AS begins_session
  FROM timed_parts
),
parts_of_sessions AS (
  SELECT
    *,
    count_if(begins_session) OVER (PARTITION BY coding_agent, requester, client_session_id ORDER BY started_at) AS session_number
  FROM parts
  WHERE started_at IS NOT NULL
),
token_entries AS (
  SELECT parts_of_sessions.* EXCEPT (tokens), place, entry.*
  FROM parts_of_sessions
  LATERAL VIEW posexplode(tokens) entries AS place, entry
),
entries_of_models AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY coding_agent, requester, client_session_id, session_number, model ORDER BY day) AS entry_of_model
  FROM token_entries
),
price_days AS (
  SELECT
    endpoint_name,
    model,
    first_day,
    least(last_day, lead(first_day) OVER (PARTITION BY endpoint_name, model ORDER BY first_day)) AS last_day,
    struct(
      input_usd_per_million AS input,
      output_usd_per_million AS output,
      cache_read_usd_per_million AS cache_read,
      cache_creation_usd_per_million AS cache_creation,
      source AS source) AS price
  FROM (
    SELECT
      *,
      row_number() OVER (
        PARTITION BY endpoint_name, model, first_day
        ORDER BY valid_from DESC NULLS LAST, added_at DESC NULLS LAST) AS newest
    FROM (
      SELECT
        *,
        date_from_unix_date(CAST(floor(unix_seconds(valid_from) / 86400) AS INT)) AS first_day,
        date_from_unix_date(CAST(floor(unix_seconds(valid_to) / 86400) AS INT)) AS last_day
      FROM {prices}
    )
    WHERE last_day IS NULL OR last_day > first_day
  )
  WHERE newest = 1
),
priced AS (
  SELECT
    usage.*,
    coalesce(of_both.price, of_endpoint.price, of_model.price) AS price
  FROM entries_of_models AS usage
  LEFT JOIN price_days AS of_both
    ON usage.endpoint_name = of_both.endpoint_name AND usage.model = of_both.model
    AND usage.day >= of_both.first_day AND (of_both.last_day IS NULL OR usage.day < of_both.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
  LEFT JOIN price_days AS of_endpoint
    ON usage.endpoint_name = of_endpoint.endpoint_name AND of_endpoint.model IS NULL
    AND usage.day >= of_endpoint.first_day AND (of_endpoint.last_day IS NULL OR usage.day < of_endpoint.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
  LEFT JOIN price_days AS of_model
    ON of_model.endpoint_name IS NULL AND usage.model = of_model.model
    AND usage.day >= of_model.first_day AND (of_model.last_day IS NULL OR usage.day < of_model.last_day)
    AND coalesce(usage.source <> 'AI_FUNCTIONS', true)
),
costs AS (
  SELECT
    *,
    CASE WHEN has_tokens THEN
      CAST(CAST(
        try_cast(coalesce(plain_input_tokens, 0) AS DECIMAL(15, 0)) * price.input
        + try_cast(coalesce(cache_read_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_read, price.input)
        + try_cast(coalesce(cache_creation_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_creation, price.input)
        + try_cast(coalesce(output_tokens, 0) AS DECIMAL(15, 0)) * price.output
        AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12))
    END AS cost_usd
  FROM priced
),
priced_entries AS (
  SELECT
    *,
    CASE WHEN has_tokens AND cost_usd IS NULL THEN 1 ELSE 0 END AS unpriced_invocations,
    CASE WHEN has_tokens AND cost_usd IS NULL THEN total_tokens ELSE 0 END AS unpriced_tokens
  FROM costs
)
SELECT
  coding_agent,
  requester,
  coalesce(client_session_id, concat('gap-', CAST(unix_seconds(min(started_at)) AS STRING))) AS session_id,
  client_session_id IS NOT NULL AS is_named,
  min(day) AS day,
  min(started_at) AS started_at,
  max(ended_at) AS ended_at,
  (unix_micros(max(ended_at)) - unix_micros(min(started_at))) / 1000000 AS seconds,
  sum(invocations) FILTER (WHERE place = 0) AS invocations,
  sum(requests) FILTER (WHERE place = 0) AS requests,
  sum(failed_requests) FILTER (WHERE place = 0) AS failed_requests,
  count(DISTINCT client_subagent_id) AS subagents,
  count(model) FILTER (WHERE entry_of_model = 1) AS models,
  coalesce(sum(input_tokens), 0) AS input_tokens,
  coalesce(sum(output_tokens), 0) AS output_tokens,
  coalesce(sum(total_tokens), 0) AS total_tokens,
  coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens,
  CASE WHEN sum(unpriced_invocations) = 0 THEN coalesce(sum(cost_usd), 0) END AS cost_usd,
  sum(cost_usd) AS priced_cost_usd,
  coalesce(sum(unpriced_tokens), 0) AS unpriced_tokens
FROM priced_entries
GROUP BY coding_agent, requester, client_session_id, session_number
ORDER BY priced_cost_usd DESC NULLS LAST, started_at, coding_agent, requester, session_id
LIMIT 1000
