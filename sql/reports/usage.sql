-- Requests by {key_name}: one row per {key_name}.
-- requests: HTTP attempts, failures and retries among them, rows of unknown outcome not.
-- unknown:  attempts whose caller died before the answer.
-- failed:   attempts answered with an error, or not at all.
-- tokens:   input and output, as the provider reported; attempts without are not counted.
-- p50/p95:  milliseconds, answered attempts only.
SELECT
  {key} AS {key_name},
  count_if(client_metadata.outcome <> 'unknown') AS requests,
  count_if(client_metadata.outcome <> 'unknown' AND client_metadata.error_kind IS NOT NULL) AS failed,
  count_if(client_metadata.outcome = 'unknown') AS unknown,
  sum(input_tokens) AS tokens_in,
  sum(output_tokens) AS tokens_out,
  CAST(percentile(latency_ms, 0.5) FILTER (WHERE status_code IS NOT NULL) AS BIGINT) AS p50_ms,
  CAST(percentile(latency_ms, 0.95) FILTER (WHERE status_code IS NOT NULL) AS BIGINT) AS p95_ms
FROM {usage_table}
GROUP BY 1
ORDER BY requests DESC, 1
