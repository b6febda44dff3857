-- {view}: one row per query execution that called ai_query or a task function (a Spark query; of a stream, a
-- micro-batch). From {tasks}, a row per call in a task, and {usage_table}, a row per HTTP attempt.
-- A task that was killed left no row in {tasks}: what it sent counts in attempts, tokens and cost, and what it did not
-- send, its rows and its failures count nowhere. gb.Client's calls have no execution id: not here.
-- A condition on application_id or query_execution_id reaches the tables; one on a time is applied to the runs.
--
-- rows:             given back to Spark by all tasks, tried again or not; failed ones, and those that sent nothing, too.
-- requests:         different requests that were sent, each once; of an embedding service, rows.
-- saved:            in the same unit, not sent, as the cache had their answer.
-- failed_rows:      rows with an error, one that ended its task among them; ..._by_kind: by client_metadata's error_kind,
--                   does_not_fit where the answer is not of the type or schema asked for.
-- attempts:         HTTP attempts that ended; unknown: whose caller died before the answer, in nothing else here.
-- failed_attempts:  answered with an error, or not at all; also those that were tried again with success.
-- tokens:           as reported or estimated for attempts that ended.
-- cost_usd:         tokens times price, in US dollars; NULL if an attempt has tokens of an endpoint without a known price.
-- saved_usd:        an estimate: saved requests at the mean cost of those sent; NULL where none was sent or priced.
-- started_at:       the first task's begin, or attempt's; ended_at: the last one's end; wall_ms: between the two.
CREATE OR REPLACE VIEW {view} (
  application_id COMMENT 'The Spark application.',
  query_execution_id COMMENT 'The execution id of the query, as in Spark UI; of an action on an RDD its stage, as stage-3.',
  requester COMMENT 'Who ran it.',
  job_id COMMENT 'Databricks job that ran it; NULL elsewhere.',
  job_run_id COMMENT 'Run of that job; NULL elsewhere.',
  notebook_path COMMENT 'Databricks notebook that ran it; NULL elsewhere.',
  functions COMMENT 'The SQL functions that were called.',
  endpoints COMMENT 'The endpoints that were called.',
  tasks COMMENT 'Calls in Spark tasks, each attempt at a task for itself.',
  incomplete_tasks COMMENT 'Of these, those that failed, were cancelled or had enough rows.',
  rows COMMENT 'Rows given back to Spark by all tasks.',
  requests COMMENT 'Different requests that were sent; rows, of an embedding service.',
  saved COMMENT 'Requests, or rows, that were not sent, as their answer was there.',
  failed_rows COMMENT 'Rows that failed.',
  failed_rows_by_kind COMMENT 'Rows that failed, by kind of error.',
  attempts COMMENT 'HTTP attempts that ended.',
  unknown COMMENT 'HTTP attempts whose caller died before the answer.',
  failed_attempts COMMENT 'HTTP attempts that failed.',
  failed_attempts_by_kind COMMENT 'HTTP attempts that failed, by kind of error.',
  input_tokens COMMENT 'Tokens of prompts.',
  output_tokens COMMENT 'Tokens of answers.',
  total_tokens COMMENT 'Both.',
  cost_usd COMMENT 'US dollars; NULL where a price is not known.',
  saved_usd COMMENT 'US dollars that saved requests would have cost, at the mean of those sent: an estimate.',
  started_at COMMENT 'Begin of the first task.',
  ended_at COMMENT 'End of the last task.',
  wall_ms COMMENT 'Milliseconds from begin to end.'
)
COMMENT {comment}
AS
WITH tasks AS (
  SELECT
    application_id,
    query_execution_id,
    max(requester) AS requester,
    max(job_id) AS job_id,
    max(job_run_id) AS job_run_id,
    max(notebook_path) AS notebook_path,
    sort_array(collect_set(function)) AS functions,
    collect_set(endpoint_name) AS endpoints,
    count(*) AS tasks,
    count_if(NOT complete) AS incomplete_tasks,
    sum(rows) AS rows,
    sum(requests) AS requests,
    sum(saved) AS saved,
    min(started_at) AS started_at,
    max(ended_at) AS ended_at
  FROM {tasks}
  WHERE query_execution_id IS NOT NULL
  GROUP BY application_id, query_execution_id
),
failed_rows AS (
  SELECT
    application_id,
    query_execution_id,
    sum(failed) AS failed,
    map_from_entries(sort_array(collect_list(struct(kind, failed)))) AS by_kind
  FROM (
    SELECT application_id, query_execution_id, kind, sum(failed_here) AS failed
    FROM {tasks} LATERAL VIEW explode(failed) AS kind, failed_here
    WHERE query_execution_id IS NOT NULL
    GROUP BY application_id, query_execution_id, kind
  )
  GROUP BY application_id, query_execution_id
),
prices AS (
  SELECT application_id, query_execution_id, endpoint_name, max_by(price, ended_at) AS price
  FROM {tasks}
  WHERE query_execution_id IS NOT NULL AND price IS NOT NULL
  GROUP BY application_id, query_execution_id, endpoint_name
),
sent AS (
  SELECT
    client_metadata.application_id,
    client_metadata.query_execution_id,
    endpoint_name,
    requester,
    client_metadata.job_id,
    client_metadata.job_run_id,
    client_metadata.notebook_path,
    client_metadata.outcome = 'unknown' AS is_unknown,
    client_metadata.error_kind,
    CASE WHEN input_tokens BETWEEN 0 AND 100000000 THEN input_tokens END AS input_tokens,
    CASE WHEN output_tokens BETWEEN 0 AND 100000000 THEN output_tokens END AS output_tokens,
    CASE WHEN total_tokens BETWEEN 0 AND 100000000 THEN total_tokens END AS total_tokens,
    CASE WHEN token_details.cache_read_input_tokens BETWEEN 0 AND 100000000 THEN token_details.cache_read_input_tokens END AS cache_read_input_tokens,
    CASE WHEN token_details.cache_creation_input_tokens BETWEEN 0 AND 100000000 THEN token_details.cache_creation_input_tokens END AS cache_creation_input_tokens,
    CASE WHEN token_details.output_reasoning_tokens BETWEEN 0 AND 100000000 THEN token_details.output_reasoning_tokens END AS output_reasoning_tokens,
    event_time AS started_at,
    event_time + make_dt_interval(0, 0, 0, coalesce(latency_ms, 0) / 1000.0) AS ended_at
  FROM {usage_table}
  WHERE client_metadata.query_execution_id IS NOT NULL
),
priced AS (
  SELECT
    sent.*,
    coalesce(input_tokens, output_tokens, total_tokens) IS NOT NULL AS has_tokens,
    CASE WHEN input_tokens IS NOT NULL
      THEN greatest(input_tokens - coalesce(cache_read_input_tokens, 0)
        - coalesce(cache_creation_input_tokens, 0), 0) END AS plain_input_tokens,
    CASE WHEN has_tokens THEN
      try_cast(coalesce(plain_input_tokens, 0) AS DECIMAL(15, 0)) * price.input
      + try_cast(coalesce(cache_read_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_read, price.input)
      + try_cast(coalesce(cache_creation_input_tokens, 0) AS DECIMAL(15, 0)) * coalesce(price.cache_creation, price.input)
      + try_cast(coalesce(output_tokens, 0) AS DECIMAL(15, 0)) * price.output
    END AS millionths_usd
  FROM sent
  LEFT JOIN prices USING (application_id, query_execution_id, endpoint_name)
),
attempts AS (
  SELECT
    application_id,
    query_execution_id,
    max(requester) AS requester,
    max(job_id) AS job_id,
    max(job_run_id) AS job_run_id,
    max(notebook_path) AS notebook_path,
    collect_set(endpoint_name) AS endpoints,
    count_if(NOT is_unknown) AS attempts,
    count_if(is_unknown) AS unknown,
    count_if(NOT is_unknown AND error_kind IS NOT NULL) AS failed_attempts,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(total_tokens) AS total_tokens,
    count_if(has_tokens AND millionths_usd IS NULL) AS without_price,
    sum(millionths_usd) AS millionths_usd,
    min(started_at) AS started_at,
    max(ended_at) AS ended_at
  FROM priced
  GROUP BY application_id, query_execution_id
),
failed_attempts AS (
  SELECT
    application_id,
    query_execution_id,
    map_from_entries(sort_array(collect_list(struct(error_kind, failed)))) AS by_kind
  FROM (
    SELECT application_id, query_execution_id, error_kind, count(*) AS failed
    FROM sent
    WHERE NOT is_unknown AND error_kind IS NOT NULL
    GROUP BY application_id, query_execution_id, error_kind
  )
  GROUP BY application_id, query_execution_id
),
runs AS (
  SELECT
    application_id,
    query_execution_id,
    coalesce(tasks.requester, attempts.requester) AS requester,
    coalesce(tasks.job_id, attempts.job_id) AS job_id,
    coalesce(tasks.job_run_id, attempts.job_run_id) AS job_run_id,
    coalesce(tasks.notebook_path, attempts.notebook_path) AS notebook_path,
    coalesce(functions, array()) AS functions,
    sort_array(array_union(coalesce(tasks.endpoints, array()), coalesce(attempts.endpoints, array()))) AS endpoints,
    coalesce(tasks, 0) AS tasks,
    coalesce(incomplete_tasks, 0) AS incomplete_tasks,
    coalesce(rows, 0) AS rows,
    coalesce(requests, 0) AS requests,
    coalesce(saved, 0) AS saved,
    coalesce(failed_rows.failed, 0) AS failed_rows,
    coalesce(failed_rows.by_kind, CAST(map() AS MAP<STRING, BIGINT>)) AS failed_rows_by_kind,
    coalesce(attempts, 0) AS attempts,
    coalesce(unknown, 0) AS unknown,
    coalesce(failed_attempts, 0) AS failed_attempts,
    coalesce(failed_attempts.by_kind, CAST(map() AS MAP<STRING, BIGINT>)) AS failed_attempts_by_kind,
    coalesce(input_tokens, 0) AS input_tokens,
    coalesce(output_tokens, 0) AS output_tokens,
    coalesce(total_tokens, 0) AS total_tokens,
    CASE WHEN coalesce(without_price, 0) = 0
      THEN CAST(CAST(coalesce(millionths_usd, 0) AS DECIMAL(28, 6)) * 0.000001BD AS DECIMAL(24, 12)) END AS cost_usd,
    least(tasks.started_at, attempts.started_at) AS started_at,
    greatest(tasks.ended_at, attempts.ended_at) AS ended_at
  FROM tasks
  FULL OUTER JOIN attempts USING (application_id, query_execution_id)
  LEFT JOIN failed_rows USING (application_id, query_execution_id)
  LEFT JOIN failed_attempts USING (application_id, query_execution_id)
)
SELECT
  application_id,
  query_execution_id,
  requester,
  job_id,
  job_run_id,
  notebook_path,
  functions,
  endpoints,
  tasks,
  incomplete_tasks,
  rows,
  requests,
  saved,
  failed_rows,
  failed_rows_by_kind,
  attempts,
  unknown,
  failed_attempts,
  failed_attempts_by_kind,
  input_tokens,
  output_tokens,
  total_tokens,
  cost_usd,
  CAST(CASE WHEN requests > 0 THEN cost_usd * saved / requests END AS DECIMAL(24, 12)) AS saved_usd,
  started_at,
  ended_at,
  (unix_micros(ended_at) - unix_micros(started_at)) DIV 1000 AS wall_ms
FROM runs
