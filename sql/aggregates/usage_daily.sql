-- Rows of usage_daily for some days.
--
-- Each cell has a row with its sums and the requests that have a single invocation on the day. Requests with several are
-- grouped by all the cells that they have an invocation in, their shape; a cell has a row without sums for each of its
-- shapes. So each request counts once, whatever rows are added up, and sums do too. Only the few invocations whose
-- request's hash comes twice are looked at by request. Cells and shapes are distinguished by hashes of 64 bits.
WITH invocations AS (
  SELECT
    *,
    xxhash64(request_id, day) AS request_hash,
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
      map_keys(request_tags), map_values(request_tags), isnull(request_tags)) AS cell
  FROM {schema}.usage_invocations
  WHERE {of_days}
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
    is_subagent,
    agent_framework,
    smart_router,
    is_mcp,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    cell,
    coalesce(size(request_tags), 0) > 0 AS is_tagged,
    status_code IS NOT NULL AS is_answered,
    coalesce(status_code >= 400, false) AS is_failed,
    count(request_id) AS invocations_of_requests,
    count(*) AS invocations,
    count_if(has_tokens) AS invocations_with_tokens,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_input_tokens) AS cache_creation_input_tokens,
    sum(plain_input_tokens) AS plain_input_tokens,
    sum(output_reasoning_tokens) AS output_reasoning_tokens
  FROM invocations
  GROUP BY
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
    is_subagent,
    agent_framework,
    smart_router,
    is_mcp,
    mcp_server_type,
    mcp_method,
    mcp_tool,
    cell
),
repeated AS (
  SELECT request_hash
  FROM invocations
  WHERE request_id IS NOT NULL
  GROUP BY request_hash
  HAVING count(*) > 1
),
of_repeated AS (
  SELECT /*+ BROADCAST(repeated) */ day, request_id, cell, count(*) AS invocations
  FROM invocations
  LEFT SEMI JOIN repeated USING (request_hash)
  WHERE request_id IS NOT NULL
  GROUP BY ALL
),
requests AS (
  SELECT day, request_id, xxhash64(array_sort(collect_list(cell))) AS shape
  FROM of_repeated
  GROUP BY day, request_id
  HAVING sum(invocations) > 1
),
shapes AS (
  SELECT day, cell, shape, count(*) AS requests, sum(invocations) AS invocations
  FROM of_repeated
  JOIN requests USING (day, request_id)
  GROUP BY day, cell, shape
),
shapes_of_cells AS (
  SELECT
    day,
    cell,
    sum(invocations) AS invocations_in_shapes,
    collect_list(struct(concat('shape ', hex(shape)) AS name, requests, false AS has_sums)) AS shapes
  FROM shapes
  GROUP BY day, cell
)
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
  is_tagged,
  status_code,
  is_answered,
  is_failed,
  coding_agent,
  is_subagent,
  agent_framework,
  smart_router,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  cell,
  request_group.name AS request_group,
  request_group.requests,
  CASE WHEN request_group.has_sums THEN invocations ELSE 0 END AS invocations,
  CASE WHEN request_group.has_sums THEN invocations_with_tokens ELSE 0 END AS invocations_with_tokens,
  CASE WHEN request_group.has_sums THEN input_tokens END AS input_tokens,
  CASE WHEN request_group.has_sums THEN output_tokens END AS output_tokens,
  CASE WHEN request_group.has_sums THEN total_tokens END AS total_tokens,
  CASE WHEN request_group.has_sums THEN cache_read_input_tokens END AS cache_read_input_tokens,
  CASE WHEN request_group.has_sums THEN cache_creation_input_tokens END AS cache_creation_input_tokens,
  CASE WHEN request_group.has_sums THEN plain_input_tokens END AS plain_input_tokens,
  CASE WHEN request_group.has_sums THEN output_reasoning_tokens END AS output_reasoning_tokens
FROM cells
LEFT JOIN shapes_of_cells USING (day, cell)
LATERAL VIEW explode(concat(
  array(struct(
    concat('cell ', hex(cell)) AS name,
    invocations_of_requests - coalesce(invocations_in_shapes, 0) AS requests,
    true AS has_sums)),
  coalesce(shapes, array()))) AS request_group
