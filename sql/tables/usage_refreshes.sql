CREATE TABLE IF NOT EXISTS {schema}.usage_refreshes (
  refreshed_at TIMESTAMP COMMENT 'When.',
  usage_table STRING COMMENT 'Of which table.',
  complete_before DATE COMMENT 'Days before this are in the aggregate.',
  days BIGINT COMMENT 'Days that were computed.',
  invocations BIGINT COMMENT 'Rows of the usage table in these.'
)
USING DELTA
COMMENT 'One row for each refresh of the aggregate: usage_daily, usage_daily_distributions and usage_daily_sessions. By gateway_batch.'
