-- How latencies and hours are distributed in each cell, for some days of the usage table's rows.
--
-- Bucket b of a latency stands for 1.04 ** b milliseconds; of an hour it is the hour itself.
WITH invocations AS (
  SELECT
    day,
    {cell} AS cell,
    CASE WHEN latency_ms <= 1 THEN 0 ELSE CAST(round(ln(latency_ms) / ln(1.04D)) AS INT) END AS latency,
    CASE WHEN time_to_first_byte_ms <= 1 THEN 0 ELSE CAST(round(ln(time_to_first_byte_ms) / ln(1.04D)) AS INT) END
      AS first_byte,
    hour_of_day
  FROM {schema}.usage_invocations
  WHERE {of_days}
),
counted AS (
  SELECT day, cell, latency, first_byte, hour_of_day, count(*) AS invocations
  FROM invocations
  GROUP BY GROUPING SETS ((day, cell, latency), (day, cell, first_byte), (day, cell, hour_of_day))
)
SELECT
  day,
  cell,
  sum(invocations) FILTER (WHERE hour_of_day IS NOT NULL) AS invocations,
  array_sort(collect_list(struct(latency AS bucket, invocations)) FILTER (WHERE latency IS NOT NULL)) AS latencies,
  array_sort(collect_list(struct(first_byte AS bucket, invocations)) FILTER (WHERE first_byte IS NOT NULL))
    AS first_bytes,
  array_sort(collect_list(struct(hour_of_day AS bucket, invocations)) FILTER (WHERE hour_of_day IS NOT NULL)) AS hours
FROM counted
GROUP BY day, cell
