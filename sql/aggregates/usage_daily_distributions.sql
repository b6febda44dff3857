-- Rows of usage_daily_distributions for some days, of which usage_daily has rows already.
WITH distributions AS (
{distributions}
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
  cell,
  invocations,
  latencies,
  first_bytes,
  hours
FROM cells
JOIN distributions USING (day, cell)
