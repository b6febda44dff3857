# Databricks notebook source
# MAGIC %md
# MAGIC # Usage and cost
# MAGIC
# MAGIC Who asked what, what it cost, and where it failed: from one table, with the columns of Databricks'
# MAGIC `system.ai_gateway.usage`.

# COMMAND ----------

# MAGIC %run ./setup

# COMMAND ----------

# MAGIC %md
# MAGIC ## Some work to look at
# MAGIC
# MAGIC Two teams ask three models. Tags of a request are in its usage record.

# COMMAND ----------

from pyspark.sql import functions as F

gateway = gb.register_ai_query(spark, config)
questions = spark.range(400).selectExpr(
    "id", "'Why is lake ' || id || ' deeper than lake ' || (id + 7) || '?' AS question"
)
for team, endpoint, share in [
    ("search", "databricks-gpt-5-4", 1.0),
    ("search", "databricks-claude-sonnet-4-5", 0.5),
    ("support", "databricks-gemini-2-5-flash", 0.8),
]:
    answer = gb.functions.ai_query(endpoint, F.col("question"), failOnError=False, requestTags={"team": team})
    questions.where(F.col("id") < 400 * share).select(answer).write.format("noop").mode("overwrite").save()
gateway.usage.flush()
display(
    spark.sql("SELECT endpoint_name, status_code, count(*) AS requests FROM ai_gateway.usage GROUP BY ALL ORDER BY ALL")
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## A budget
# MAGIC
# MAGIC Fifty requests are allowed; the rest of the rows say why they have no answer.

# COMMAND ----------

bounded = gb.GatewayConfig.from_env(budget={"max_requests": 50}, request_tags={"project": "notebooks"})
with gb.register_ai_query(spark, bounded, "ai_query_bounded"):
    display(
        spark.sql("""
        SELECT coalesce(answer.errorMessage, 'answered') AS outcome, count(*) AS rows
        FROM (SELECT ai_query_bounded(
                'databricks-gpt-5-4', 'Name a lake: ' || id, failOnError => false) AS answer FROM range(200))
        GROUP BY outcome ORDER BY rows
    """)
    )

# COMMAND ----------

# MAGIC %md
# MAGIC ## Views
# MAGIC
# MAGIC `create_views` makes the views behind Databricks' usage dashboard, and a table of prices: list prices for
# MAGIC models that have one, and yours before them.

# COMMAND ----------

gb.create_views(spark)
spark.sql("""
    INSERT INTO ai_gateway.prices  -- endpoint, model, from, to, dollars a million: input, output, cache
    VALUES ('databricks-gpt-5-4', NULL, TIMESTAMP'2026-01-01 00:00:00Z', NULL, 2.25, 13.50, NULL, NULL, 'our contract',
            current_timestamp()),
           ('databricks-gemini-2-5-flash', NULL, TIMESTAMP'2026-01-01 00:00:00Z', NULL, 0.30, 2.50, NULL, NULL,
            'our contract', current_timestamp())
""")
display(
    spark.sql("""
    SELECT tag_value AS team, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens
    FROM ai_gateway.usage_tags_daily WHERE tag_key = 'team' GROUP BY team ORDER BY requests DESC
""")
)

# COMMAND ----------

import matplotlib.pyplot as plt

endpoints = spark.sql("""
    SELECT endpoint_name, cost_usd, ms
    FROM (SELECT endpoint_name, sum(cost_usd) AS cost_usd FROM ai_gateway.cost_endpoints_daily GROUP BY ALL)
    JOIN (SELECT endpoint_name, percentile(latency_ms, array(0.5, 0.95)) AS ms
          FROM ai_gateway.usage WHERE status_code = 200 GROUP BY ALL) USING (endpoint_name)
    ORDER BY cost_usd
""").collect()
endpoint_names = [row.endpoint_name for row in endpoints]
figure, (costs, times) = plt.subplots(1, 2, figsize=(11, 2.6), sharey=True)
costs.barh(endpoint_names, [float(row.cost_usd) for row in endpoints])
costs.set(title="Cost", xlabel="US dollars")
times.barh(endpoint_names, [row.ms[1] for row in endpoints], label="95th percentile")
times.barh(endpoint_names, [row.ms[0] for row in endpoints], label="median")
times.set(title="Latency", xlabel="ms")
times.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Does the usage table reconcile with the gateway's record?
# MAGIC
# MAGIC The gateway has a record of its own. `reconcile` compares the two, request by request; here with the
# MAGIC development gateway's, on Databricks with `system.ai_gateway.usage`, whose rows come some hours later.

# COMMAND ----------

gateway.usage.flush()
if "development" in globals():
    differences = gateway.usage.reconcile(development.ledger).groupBy("class").count().collect()
    print(*differences or ["each request is in both, with the same tokens and status"], sep="\n")

# COMMAND ----------

# MAGIC %md
# MAGIC For a browser, `gb.write_dashboard(spark, "usage.html")` writes all of it as one page with filters
# MAGIC ([usage-dashboard](../usage-dashboard.md)); all views are in [usage-views](../usage-views.md).

# COMMAND ----------

gateway.close()
