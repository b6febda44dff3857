-- Rows of usage_daily_distributions for some days, of which usage_daily has rows already.
--
-- Bucket b of a latency stands for 1.04 ** b milliseconds; of an hour it is the hour itself.
WITH invocations AS (
  SELECT
    day,
    {cell} AS cell,
    CAST(round(ln(greatest(latency_ms, 1)) / ln(1.04D)) AS INT) AS latency,
    CAST(round(ln(greatest(time_to_first_byte_ms, 1)) / ln(1.04D)) AS INT) AS first_byte,
    hour_of_day
  FROM {schema}.usage_invocations
  WHERE {of_days}
),
counted AS (
  SELECT day, cell, latency, first_byte, hour_of_day, count(*) AS invocations
  FROM invocations
  GROUP BY GROUPING SETS ((day, cell, latency), (day, cell, first_byte), (day, cell, hour_of_day))
),
distributions AS (
  SELECT
    day,
    cell,
    sum(invocations) FILTER (WHERE hour_of_day IS NOT NULL) AS invocations,
    array_sort(collect_list(struct(latency AS bucket, invocations)) FILTER (WHERE latency IS NOT NULL)) AS latencies,
    array_sort(collect_list(struct(first_byte AS bucket, invocations)) FILTER (WHERE first_byte IS NOT NULL))
      AS first_bytes,
    array_sort(collect_list(struct(hour_of_day AS bucket, invocations)) FILTER (WHERE hour_of_day IS NOT NULL)) AS hours
  FROM counted
  GROUP BY day, cell
),
cells AS (
  SELECT
    day,
    workspace_id,
    endpoint_name,
    service_name,
    model,
    destination_type,
    requester,
    requester_type,
    api_type,
    source,
    request_tags,
    status_code,
    coding_agent,
    is_mcp,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    cell
  FROM {schema}.usage_daily
  WHERE {days}
  GROUP BY ALL
)
SELECT
  day,
  weekday(day) AS weekday,
  workspace_id,
  endpoint_name,
  service_name,
  model,
  destination_type,
  requester,
  requester_type,
  api_type,
  source,
  request_tags,
  status_code,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  invocations,
  latencies,
  first_bytes,
  hours
FROM cells
JOIN distributions USING (day, cell)
