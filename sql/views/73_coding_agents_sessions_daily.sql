-- One row for each UTC day and coding agent: its sessions.
--
-- See coding_agents_sessions; always from the usage table's rows. A session that began before counts on the day on which
-- it began only in sessions_begun, and in client_sessions on each day that has a call of it.
CREATE OR REPLACE VIEW {schema}.coding_agents_sessions_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  client_sessions COMMENT 'Distinct session_metadata.client_session_id of the day\'s calls; 0 where callers name none.',
  sessions_begun COMMENT 'Sessions whose first call is of the day, named or not.'
)
COMMENT 'One row for each UTC day and coding agent: its sessions. By gateway_batch.'
AS
WITH called AS (
  SELECT day, coding_agent, count(DISTINCT client_session_id) AS client_sessions
  FROM {schema}.usage_invocations
  WHERE coding_agent IS NOT NULL
  GROUP BY day, coding_agent
),
begun AS (
  SELECT day, coding_agent, count(*) AS sessions_begun
  FROM {schema}.coding_agents_sessions
  GROUP BY day, coding_agent
)
SELECT called.day, called.coding_agent, client_sessions, coalesce(sessions_begun, 0) AS sessions_begun
FROM called
LEFT JOIN begun ON called.day = begun.day AND called.coding_agent = begun.coding_agent
