# Databricks notebook source
# MAGIC %md
# MAGIC # Models in pandas
# MAGIC
# MAGIC `import gateway_batch.pandas` gives each Series of texts `.ai.query` and `.ai.embed`. They need no Spark, and
# MAGIC each request has its row in the same usage table.

# COMMAND ----------

# MAGIC %run ./setup

# COMMAND ----------

import gateway_batch.pandas

gateway_batch.pandas.configure(config)

reviews = pd.DataFrame(
    {
        "product": ["kettle", "kettle", "lamp", "lamp", "tent", "tent", "tent"],
        "review": [
            "Boils in two minutes and pours well. The lid is loose after a month, though.",
            "Broke after a week. The seller was slow to answer and never sent a refund.",
            "A warm light, easy to set up, and lovely on the desk. I would buy it again.",
            "Too bright to read by. The cable is short and the switch feels cheap.",
            "Kept us dry through two nights of rain. The poles are heavy.",
            "Kept us dry through two nights of rain. The poles are heavy.",
            None,
        ],
    },
    index=pd.Index(range(101, 108), name="id"),
)

# COMMAND ----------

# MAGIC %md
# MAGIC ## Ask
# MAGIC
# MAGIC Answers have the index of the prompts. The same text is asked once, and a missing one is not asked.

# COMMAND ----------

reviews["summary"] = ("Summarize in 8 words: " + reviews["review"]).ai.query("databricks-gpt-5-4")
reviews

# COMMAND ----------

# MAGIC %md
# MAGIC With `fail_on_error=False` a call that fails has its error next to an empty result, and the others have their
# MAGIC answers. `details=True` adds what each call took; 105 and 106 share one, so they have the same event id.

# COMMAND ----------

kinds = reviews["review"].ai.query(
    "databricks-claude-sonnet-4-5",
    instructions="Answer with one word, positive or negative.",
    fail_on_error=False,
    details=True,
    request_tags={"step": "kinds"},
)
kinds[["result", "error", "model", "input_tokens", "output_tokens", "cost_usd", "event_id"]]

# COMMAND ----------

# MAGIC %md
# MAGIC ## Search
# MAGIC
# MAGIC `embed` gives a vector for each text; several texts share a request.

# COMMAND ----------

import numpy as np


def directions(texts):
    """A row for each text: its vector, of length 1."""
    vectors = np.stack(texts.ai.embed("databricks-gte-large-en"))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


known = reviews["review"].dropna()
question = pd.Series(["What keeps us dry in the rain?"])
likeness = directions(known) @ directions(question)[0]
known.to_frame().assign(likeness=likeness).nlargest(3, "likeness")

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was used
# MAGIC
# MAGIC `configure` closes the client, which hands its records over at once; a flush commits them to the usage table, as
# MAGIC `gateway-batch usage flush` does. `create_views` puts a table of list prices next to it.

# COMMAND ----------

gateway_batch.pandas.configure(config)
with gb.register_ai_query(spark, config) as gateway:
    gateway.usage.flush()
_ = gb.create_views(spark)

# COMMAND ----------

# MAGIC %md
# MAGIC `usage_frame` returns the figures of `gateway-batch usage` as a DataFrame. It reads the table's files itself.

# COMMAND ----------

usage = gb.usage_frame("model")
usage[["model", "requests", "failed_requests", "input_tokens", "output_tokens", "latency_p95_ms", "priced_cost_usd"]]

# COMMAND ----------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 2.2))
axes.barh(usage["model"], usage["input_tokens"], label="input tokens")
axes.barh(usage["model"], usage["output_tokens"], left=usage["input_tokens"], label="output tokens")
axes.set(title="Tokens of each model", xlabel="tokens")
axes.invert_yaxis()
axes.legend(frameon=False)
figure.tight_layout()
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC Next: [quickstart](quickstart.md) for the same from SQL, [usage_and_cost](usage_and_cost.md) for views and
# MAGIC budgets. All arguments are in [python](../python.md).
