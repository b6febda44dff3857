-- One row for each UTC day and coding agent: the sessions that callers name to the gateway.
--
-- Always from the usage table's rows, as the aggregate has no sessions. They are not the coding sessions of the agents'
-- own telemetry, which no usage table has.
CREATE OR REPLACE VIEW {schema}.coding_agents_sessions_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  client_sessions COMMENT 'Distinct session_metadata.client_session_id; 0 where callers name none.'
)
COMMENT 'One row for each UTC day and coding agent: the sessions that callers name to the gateway. By gateway_batch.'
AS
SELECT day, coding_agent, count(DISTINCT client_session_id) AS client_sessions
FROM {schema}.usage_invocations
WHERE coding_agent IS NOT NULL
GROUP BY day, coding_agent
