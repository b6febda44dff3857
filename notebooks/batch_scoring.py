# Databricks notebook source
# MAGIC %md
# MAGIC # Batch scoring
# MAGIC
# MAGIC A table that grows is answered into another one, a row for each key. Only rows that are new, changed, or
# MAGIC failed for the time being are sent, and what it will cost is known before.

# COMMAND ----------

# MAGIC %run ./setup

# COMMAND ----------

# MAGIC %md
# MAGIC ## A table that grows
# MAGIC
# MAGIC Real texts that every machine has: what Python's standard library says about its functions.

# COMMAND ----------

MODULES = ["asyncio", "collections", "csv", "datetime", "decimal", "functools", "json", "logging", "os", "pathlib",
           "random", "shutil", "statistics", "subprocess", "tempfile", "textwrap", "threading", "turtle",
           "urllib.parse", "zipfile"]  # fmt: skip
docs = documentation(MODULES)
docs.write.format("delta").mode("overwrite").saveAsTable("docs")
display(spark.sql("SELECT count(*) AS functions, sum(length(text)) AS characters FROM docs"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What will it cost?
# MAGIC
# MAGIC Without a sample nothing is sent: tokens of the prompts are counted, and answers are taken to be as long as
# MAGIC they may be. A sample sends some requests, keeps their answers, and gives an interval.

# COMMAND ----------

job = gb.BatchJob(
    source="docs",
    output="ai_gateway.summaries",
    keys=["name"],
    endpoint="databricks-gpt-5-4",
    prompt="Summarize in 20 words: {text}",
    model_parameters={"max_tokens": 40},
)
unsent = gb.estimate_batch(spark, job, config)
sampled = gb.estimate_batch(spark, job, config, sample=100)
for estimate in (unsent, sampled):
    cost = estimate.cost_usd
    print(f"{estimate.requests} requests, {estimate.sampled} of them sent for this estimate")
    print(f"{cost.middle:.4f} US dollars, {cost.low:.4f} to {cost.high:.4f}")
    print("It rests on:", *(f"- {assumption}" for assumption in estimate.assumptions), "", sep="\n")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Run it
# MAGIC
# MAGIC If a run dies, run it again: it resumes where it was. Here it ends by itself if more than one row in twenty
# MAGIC fails.

# COMMAND ----------

report = gb.run_batch(spark, job, config, fail_if="error_rate > 0.05")
report.as_json()

# COMMAND ----------

display(spark.sql("SELECT name, result, input_tokens, output_tokens, cost_usd FROM ai_gateway.summaries LIMIT 3"))

# COMMAND ----------

# MAGIC %md
# MAGIC The run costs what the estimate said it would:

# COMMAND ----------

import matplotlib.pyplot as plt

cost = float(
    spark.sql("""
        SELECT sum(cost_usd) AS usd
        FROM (SELECT DISTINCT event_id, cost_usd FROM ai_gateway.summaries)  -- rows that ask the same share a request
    """)
    .first()
    .usd
)
low, middle, high = map(float, (sampled.cost_usd.low, sampled.cost_usd.middle, sampled.cost_usd.high))
figure, axes = plt.subplots(figsize=(8, 1.8))
axes.errorbar(middle, 0, xerr=[[middle - low], [high - middle]], fmt="o", capsize=6, label="estimate with a sample")
axes.plot(float(unsent.cost_usd.middle), 0, "x", label="estimate without")
axes.axvline(cost, color="tab:green", label="what it cost")
axes.set(xlabel="US dollars", xlim=(0, None), yticks=[])
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## The next night
# MAGIC
# MAGIC Three texts change and some are new: only these are sent. Then there is nothing to do, which costs nothing.

# COMMAND ----------

spark.sql("UPDATE docs SET text = 'Changed: ' || text WHERE name IN ('json.dumps', 'json.loads', 'csv.reader')")
documentation(["bisect", "heapq"]).write.format("delta").mode("append").saveAsTable("docs")
second = gb.run_batch(spark, job, config)
third = gb.run_batch(spark, job, config)
for each in (report, second, third):
    print(f"{each.planned} planned, {each.rows} answered, {each.requests} requests, {each.cost_usd} USD")

# COMMAND ----------

# MAGIC %md
# MAGIC As a command, for a scheduler: `gateway-batch run --source docs --key name --prompt 'Summarize in 20 words:
# MAGIC {text}' --endpoint databricks-gpt-5-4 --output ai_gateway.summaries`. As a scheduled job on Databricks:
# MAGIC [databricks-jobs](../databricks-jobs.md). All of it: [batch-job](../batch-job.md).
