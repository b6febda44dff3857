-- One row for each UTC day and coding agent: its sessions.
--
-- See coding_agents_sessions. A session counts in sessions_begun on the day on which it began only, and in client_sessions
-- on each day that has a call of it.
CREATE OR REPLACE VIEW {schema}.coding_agents_sessions_daily (
  day COMMENT 'UTC date; NULL for rows without a time.',
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  client_sessions COMMENT 'Distinct session_metadata.client_session_id of the day\'s calls; 0 where callers name none.',
  sessions_begun COMMENT 'Sessions whose first call is of the day, named or not.'
)
COMMENT 'One row for each UTC day and coding agent: its sessions. By gateway_batch.'
AS
WITH timed_parts AS (
  SELECT
    *,
    lag(ended_at) OVER (PARTITION BY coding_agent, requester, client_session_id ORDER BY started_at) AS ended_before
  FROM {schema}.usage_session_parts
),
parts AS (
  SELECT
    *,
    started_at IS NOT NULL AND (
      ended_before IS NULL
      OR client_session_id IS NULL AND started_at - ended_before > INTERVAL 30 MINUTES
    ) AS begins_session
  FROM timed_parts
)
SELECT
  day,
  coding_agent,
  count(DISTINCT client_session_id) AS client_sessions,
  count_if(begins_session) AS sessions_begun
FROM parts
GROUP BY day, coding_agent
