-- One row for each of the 1,000 sessions of coding agents that cost most, by estimate.
--
-- Those of coding_agents_sessions with the greatest priced_cost_usd, of all time: for a part of it, order that view.
CREATE OR REPLACE VIEW {schema}.coding_agents_top_sessions (
  coding_agent COMMENT 'claude-code, codex, cursor, gemini-cli, opencode, or what session_metadata says; NULL for other callers.',
  requester COMMENT 'User or service principal; NULL where it is not known.',
  session_id COMMENT 'What the caller names; else gap- and the second in which it began. Unique for an agent and a requester.',
  is_named COMMENT 'Whether the caller names it.',
  day COMMENT 'UTC date of its first call.',
  started_at COMMENT 'When its first call was received.',
  ended_at COMMENT 'When its last call was received.',
  seconds COMMENT 'Between the two.',
  invocations COMMENT 'Rows of the usage table, fallbacks and guardrails included.',
  requests COMMENT 'Distinct requests of each UTC day, failed and unknown ones included.',
  failed_requests COMMENT 'Requests with an invocation of status 400 or more.',
  subagents COMMENT 'Distinct subagents that the caller names.',
  models COMMENT 'Distinct models that answered.',
  input_tokens COMMENT 'Tokens of prompts, cached ones included.',
  output_tokens COMMENT 'Tokens of answers, reasoning included.',
  total_tokens COMMENT 'Tokens of prompts and answers.',
  cache_read_input_tokens COMMENT 'Input tokens read from the provider\'s cache.',
  cost_usd COMMENT 'US dollars by the table of prices; NULL if some of the tokens have no price.',
  priced_cost_usd COMMENT 'US dollars of the tokens with a price, by the table of prices; NULL if none has.',
  unpriced_tokens COMMENT 'Tokens without a price, which are not in the cost.'
)
COMMENT 'One row for each of the 1,000 sessions of coding agents that cost most, by estimate. By gateway_batch.'
AS
SELECT *
FROM {schema}.coding_agents_sessions
ORDER BY priced_cost_usd DESC NULLS LAST, started_at, coding_agent, requester, session_id
LIMIT 1000
