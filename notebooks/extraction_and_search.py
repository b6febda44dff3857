# Databricks notebook source
# MAGIC %md
# MAGIC # Structured extraction and search
# MAGIC
# MAGIC Free text becomes columns, and texts are found by what they mean.

# COMMAND ----------

# MAGIC %run ./setup

# COMMAND ----------

gateway = gb.register_ai_query(spark, config)

mails = spark.createDataFrame(
    [
        (1, "Order 48213 came on 2026-10-02 with a broken lid. Please send a new kettle. contact: mara@example.com"),
        (2, "Hello, where is order 48350? It was promised for 2026-10-09 and is late. contact: jo@example.com"),
        (3, "Thank you, order 48117 arrived early on 2026-09-28 and the lamp is lovely. contact: lee@example.com"),
        (
            4,
            "I want a refund of 39.90 for order 48402, the tent leaks. It came on 2026-10-12. contact: ana@example.com",
        ),
        (
            5,
            "The kettle of order 48399 does not switch off. Is it safe? It came 2026-10-11. contact: tom@example.com",
        ),
    ],
    "id INT, body STRING",
)
mails.createOrReplaceTempView("mails")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Text becomes columns
# MAGIC
# MAGIC `responseFormat` tells the model which fields to answer with, `returnType` makes them a STRUCT of SQL types.
# MAGIC An answer that does not fit is a failed row with a reason.

# COMMAND ----------

cases = spark.sql("""
    SELECT id, answer.result.*, answer.errorMessage
    FROM (SELECT id, ai_query(
            'databricks-claude-sonnet-4-5',
            body,
            responseFormat => 'STRUCT<mail: STRUCT<order: INT, date: DATE, contact: STRING, problem: STRING>>',
            returnType => 'STRUCT<order: INT, date: DATE, contact: STRING, problem: STRING>',
            failOnError => false) AS answer
          FROM mails)
""")
cases.write.format("delta").mode("overwrite").saveAsTable("cases")
display(spark.table("cases").orderBy("id"))

# COMMAND ----------

# MAGIC %md
# MAGIC From here on it is SQL over columns, and no model is asked again:

# COMMAND ----------

display(spark.sql("SELECT date, count(*) AS mails, min(`order`) AS first_order FROM cases GROUP BY date ORDER BY date"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Embeddings
# MAGIC
# MAGIC An embedding service answers with vectors; rows share requests by themselves. The texts are what Python's
# MAGIC standard library says about its functions.

# COMMAND ----------

MODULES = ["json", "random", "statistics", "shutil", "textwrap", "threading"]
docs = documentation(MODULES)
vectors = docs.selectExpr("*", "ai_query('databricks-gte-large-en', text) AS vector")
vectors.write.format("delta").mode("overwrite").saveAsTable("vectors")
display(spark.sql("SELECT module, count(*) AS functions, min(size(vector)) AS width FROM vectors GROUP BY module"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Search
# MAGIC
# MAGIC A question is embedded the same way; the nearest vectors are the answer.

# COMMAND ----------

display(
    spark.sql("""
    WITH asked AS (SELECT ai_query('databricks-gte-large-en', 'copy a whole folder of files') AS vector)
    SELECT name, round(similarity, 3) AS similarity, left(text, 60) AS begins
    FROM (SELECT name, text, aggregate(zip_with(vectors.vector, asked.vector, (a, b) -> a * b), 0D, (sum, x) -> sum + x)
            AS similarity
          FROM vectors CROSS JOIN asked)
    ORDER BY similarity DESC LIMIT 5
""")
)

# COMMAND ----------

# MAGIC %md
# MAGIC A map of the texts, by the two directions in which their vectors differ most:

# COMMAND ----------

import matplotlib.pyplot as plt
import numpy as np

rows = spark.table("vectors").collect()
matrix = np.array([row.vector for row in rows])
_, _, directions = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
places = matrix @ directions[:2].T
figure, axes = plt.subplots(figsize=(7, 4.5))
for module in MODULES:
    chosen = [number for number, row in enumerate(rows) if row.module == module]
    axes.scatter(*places[chosen].T, label=module, s=24)
axes.set(title="Functions of Python's standard library, by what is said of them", xticks=[], yticks=[])
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
figure.tight_layout()
plt.show()

# COMMAND ----------

# MAGIC %md
# MAGIC ## What it took

# COMMAND ----------

gateway.usage.flush()
display(
    spark.sql("""
    SELECT endpoint_name, count(*) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
    FROM ai_gateway.usage GROUP BY endpoint_name ORDER BY endpoint_name
""")
)
gateway.close()
