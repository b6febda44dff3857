-- One row for each UTC day and coding agent: the sessions that callers name to the gateway.
--
-- Always from the usage table's rows, as the aggregate has no sessions. They are not the coding sessions of the agents'
-- own telemetry, which no usage table has.
--
-- Columns:
-- day: UTC date; NULL for rows without a time.
-- coding_agent: claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says.
-- client_sessions: Distinct session_metadata.client_session_id; 0 where callers name none.
SELECT day, coding_agent, count(DISTINCT client_session_id) AS client_sessions
FROM {schema}.usage_invocations
WHERE coding_agent IS NOT NULL
GROUP BY day, coding_agent
