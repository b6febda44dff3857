-- How latencies and hours are distributed in each cell, for some days of the usage table's rows.
--
-- Bucket b of a latency stands for 1.04 ** b milliseconds; of an hour it is the hour itself. In between, an entry says
-- by its thousands what it is: 0 for a latency, 1 for a time to the first byte, 2 for an hour.
WITH invocations AS (
  SELECT
    day,
    xxhash64(
      workspace_id, isnull(workspace_id),
      endpoint_name, isnull(endpoint_name),
      service_name, isnull(service_name),
      model, isnull(model),
      destination_type, isnull(destination_type),
      requester, isnull(requester),
      requester_type, isnull(requester_type),
      api_type, isnull(api_type),
      source, isnull(source),
      status_code, isnull(status_code),
      coding_agent, isnull(coding_agent),
      is_subagent, isnull(is_subagent),
      agent_framework, isnull(agent_framework),
      smart_router, isnull(smart_router),
      is_mcp, isnull(is_mcp),
      mcp_server_type, isnull(mcp_server_type),
      mcp_method, isnull(mcp_method),
      mcp_tool, isnull(mcp_tool),
      map_keys(request_tags), map_values(request_tags), isnull(request_tags)) AS cell,
    CASE WHEN latency_ms <= 1 THEN 0 ELSE CAST(ln(latency_ms) / ln(1.04D) + 0.5D AS INT) END AS latency,
    CASE WHEN time_to_first_byte_ms <= 1 THEN 0 ELSE CAST(ln(time_to_first_byte_ms) / ln(1.04D) + 0.5D AS INT) END
      AS first_byte,
    hour_of_day
  FROM {schema}.usage_invocations
  WHERE {of_days}
),
counted AS (
  SELECT day, cell, entry, count(*) AS invocations
  FROM invocations
  LATERAL VIEW explode(array(latency, 1000 + first_byte, 2000 + hour_of_day)) AS entry
  WHERE entry IS NOT NULL
  GROUP BY day, cell, entry
),
collected AS (
  SELECT
    day,
    cell,
    sum(invocations) FILTER (WHERE entry >= 2000) AS invocations,
    array_sort(collect_list(struct(entry, invocations))) AS entries
  FROM counted
  GROUP BY day, cell
)
SELECT
  day,
  cell,
  invocations,
  transform(filter(entries, each -> each.entry < 1000),
    each -> struct(each.entry AS bucket, each.invocations AS invocations)) AS latencies,
  transform(filter(entries, each -> each.entry >= 1000 AND each.entry < 2000),
    each -> struct(each.entry - 1000 AS bucket, each.invocations AS invocations)) AS first_bytes,
  transform(filter(entries, each -> each.entry >= 2000),
    each -> struct(each.entry - 2000 AS bucket, each.invocations AS invocations)) AS hours
FROM collected
