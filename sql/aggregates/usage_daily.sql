-- Rows of usage_daily for some days.
--
-- Requests with one invocation on a day are grouped by its cell; those with several by all the cells that they have an
-- invocation in, their shape, so that each counts once whatever rows are added up. They are told apart by hashes: of 96
-- bits for requests, 64 for cells and shapes.
WITH invocations AS (
  SELECT
    *,
    xxhash64(request_id, day) AS request_hash,
    hash(day, request_id) AS request_hash_2,
    {cell} AS cell
  FROM {schema}.usage_invocations
  WHERE {of_days}
),
requests AS (
  SELECT
    request_hash,
    request_hash_2,
    xxhash64(min(day), count(*), sum(cell & 4294967295), sum(shiftrightunsigned(cell, 32))) AS shape
  FROM invocations
  WHERE request_id IS NOT NULL
  GROUP BY request_hash, request_hash_2
  HAVING count(*) > 1
),
shapes AS (
  SELECT request_hash, request_hash_2, shape, count(*) OVER (PARTITION BY shape) AS requests
  FROM requests
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
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  cell,
  CASE WHEN shape IS NULL THEN concat('cell ', hex(cell)) ELSE concat('shape ', hex(shape)) END AS request_group,
  coalesce(max(shapes.requests), count(request_id)) AS requests,
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
LEFT JOIN shapes USING (request_hash, request_hash_2)
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
  is_tagged,
  status_code,
  is_answered,
  is_failed,
  coding_agent,
  is_mcp,
  mcp_server_type,
  mcp_method,
  mcp_tool,
  cell,
  shape
