# Databricks notebook source
# MAGIC %md
# MAGIC # Quickstart
# MAGIC
# MAGIC A model is asked about the rows of a table, from SQL, and each request is in a table a moment later.

# COMMAND ----------

# MAGIC %run ./setup

# COMMAND ----------

# MAGIC %md
# MAGIC ## A table of texts

# COMMAND ----------

reviews = spark.createDataFrame(
    [
        (1, "kettle", "Boils in two minutes and pours well. The lid is loose after a month, though."),
        (2, "kettle", "Broke after a week. The seller was slow to answer and never sent a refund."),
        (3, "lamp", "A warm light, easy to set up, and lovely on the desk. I would buy it again."),
        (4, "lamp", "Too bright to read by. The cable is short and the switch feels cheap."),
        (5, "tent", "Kept us dry through two nights of rain. The poles are heavy."),
        (6, "tent", "Great tent, fast to pitch, and the bag is good too."),
        (7, "tent", None),
    ],
    "id INT, product STRING, review STRING",
)
reviews.createOrReplaceTempView("reviews")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Ask
# MAGIC
# MAGIC `register_ai_query` makes `ai_query` a function of the session, with the arguments of Databricks' own. A row
# MAGIC whose prompt is NULL sends nothing.

# COMMAND ----------

gateway = gb.register_ai_query(spark, config)

display(
    spark.sql("""
    SELECT id, product, ai_query('databricks-gpt-5-4', 'Summarize in 8 words: ' || review) AS summary
    FROM reviews ORDER BY id
""")
)

# COMMAND ----------

# MAGIC %md
# MAGIC The answer may be of any SQL type. With `failOnError => false` a row that fails has an error next to its NULL,
# MAGIC and the others have their answers; `when` says which rows are asked at all.

# COMMAND ----------

display(
    spark.sql("""
    SELECT id, answer.result.*, answer.errorMessage
    FROM (SELECT id, ai_query(
            'databricks-gpt-5-4',
            'What does this review say? ' || review,
            responseFormat => 'STRUCT<found: STRUCT<sentiment: STRING, problem: STRING>>',
            returnType => 'STRUCT<sentiment: STRING, problem: STRING>',
            failOnError => false,
            when => product <> 'lamp') AS answer
          FROM reviews)
    ORDER BY id
""")
)

# COMMAND ----------

# MAGIC %md
# MAGIC Task functions need no prompt. The same functions are Columns in `gb.functions`.

# COMMAND ----------

kind = gb.functions.ai_classify("review", ["positive", "negative"])
german = gb.functions.ai_translate("review", "de")
answers = reviews.where("review IS NOT NULL").select("id", "product", kind.alias("kind"), german.alias("german"))
display(answers.orderBy("id"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was sent
# MAGIC
# MAGIC Each request is a row of `ai_gateway.usage`, which has the columns of Databricks' `system.ai_gateway.usage`.
# MAGIC Rows are committed every few seconds while queries run; `flush` does it now.

# COMMAND ----------

gateway.usage.flush()

usage = spark.sql("""
    SELECT event_time, endpoint_name, destination_model, status_code, input_tokens, output_tokens, latency_ms
    FROM ai_gateway.usage ORDER BY event_time
""")
display(usage.limit(5))

# COMMAND ----------

# MAGIC %md
# MAGIC Queries that were written for Databricks run elsewhere, too: `system.ai_gateway.usage` names this same table
# MAGIC there.

# COMMAND ----------

display(
    spark.sql("""
        SELECT endpoint_name, count(DISTINCT request_id) AS requests, sum(total_tokens) AS tokens
        FROM system.ai_gateway.usage GROUP BY endpoint_name ORDER BY endpoint_name
    """)
)

# COMMAND ----------

# MAGIC %md
# MAGIC `ai_query_runs` has a row for each query: what it sent, and what it was spared. Spark evaluates a query that
# MAGIC sorts by an answer twice, as the last one does here: its 14 rows were asked once each.

# COMMAND ----------

spark.sql("""
    SELECT id, ai_query('databricks-gpt-5-4', 'How long is this review? ' || review) AS answer
    FROM reviews ORDER BY answer
""").collect()
gateway.usage.flush()

runs = spark.sql("""
    SELECT started_at, rows, requests, saved, failed_rows, input_tokens, output_tokens, cost_usd, wall_ms
    FROM ai_gateway.ai_query_runs ORDER BY started_at
""")
display(runs)

# COMMAND ----------

import matplotlib.pyplot as plt

rows = runs.collect()
figure, axes = plt.subplots(figsize=(7, 2.6))
places = range(1, len(rows) + 1)
axes.barh(places, [row.input_tokens for row in rows], label="input tokens")
axes.barh(places, [row.output_tokens for row in rows], left=[row.input_tokens for row in rows], label="output tokens")
axes.set(title="Tokens of each query", yticks=list(places), ylabel="query", xlabel="tokens")
axes.invert_yaxis()
axes.legend(frameon=False)
figure.tight_layout()
plt.show()

# COMMAND ----------

gateway.close()

# COMMAND ----------

# MAGIC %md
# MAGIC Next: [batch_scoring](batch_scoring.md) for tables that grow,
# MAGIC [extraction_and_search](extraction_and_search.md) for structured answers and embeddings,
# MAGIC [usage_and_cost](usage_and_cost.md) for what it all took.
