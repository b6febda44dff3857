CREATE TABLE IF NOT EXISTS {schema}.usage_daily_sessions (
  day DATE COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent STRING COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  requester STRING COMMENT 'User or service principal; NULL where it is not known.',
  client_session_id STRING COMMENT 'Conversation that the caller names; NULL where it names none.',
  started_at TIMESTAMP COMMENT 'When the first of its calls on the day was received.',
  ended_at TIMESTAMP COMMENT 'When the last of them was received.',
  invocations BIGINT COMMENT 'Rows of the usage table.',
  requests BIGINT COMMENT 'Distinct requests of these.',
  failed_requests BIGINT COMMENT 'Of these, with an invocation that failed.',
  tokens ARRAY<STRUCT<client_subagent_id: STRING, endpoint_name: STRING, model: STRING, source: STRING, has_tokens: BOOLEAN, input_tokens: BIGINT, output_tokens: BIGINT, total_tokens: BIGINT, cache_read_input_tokens: BIGINT, cache_creation_input_tokens: BIGINT, plain_input_tokens: BIGINT>> COMMENT 'Token sums by subagent, endpoint, model, source, and whether any are known.'
)
USING DELTA
COMMENT 'What sessions of coding agents did on whole UTC days; kept by gateway-batch usage refresh, read through the view usage_session_parts. By gateway_batch.'
