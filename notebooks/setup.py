# Databricks notebook source
# MAGIC %md
# MAGIC # Where the notebooks run
# MAGIC
# MAGIC The other notebooks begin with this one. It gives them `spark`, and `config`, the settings of the gateway:
# MAGIC
# MAGIC - on Databricks, the cluster's session and the workspace's own gateway, with the token that the secret scope
# MAGIC   `ai_gateway` has under `token`,
# MAGIC - elsewhere a session with Delta on this machine and the configured gateway. Where none is configured
# MAGIC   (`DATABRICKS_HOST`, `DATABRICKS_TOKEN`), the development gateway is started: its models are stand-ins that
# MAGIC   answer with parts of the prompt, so that nothing here needs an account or costs anything.

# COMMAND ----------

# MAGIC %pip install --quiet "..[notebooks]"

# COMMAND ----------

import os
import secrets

import IPython.display
import pandas as pd

import gateway_batch as gb

if "DATABRICKS_RUNTIME_VERSION" in os.environ:
    os.environ["DATABRICKS_TOKEN"] = dbutils.secrets.get("ai_gateway", "token")
    os.environ["DATABRICKS_HOST"] = f"https://{spark.conf.get('spark.databricks.workspaceUrl')}"
else:
    spark = gb.local_session(settings={"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": "false"})
    pd.options.display.max_colwidth = None

    def display(frame):
        """Shows a query's rows. Spark's own table in Jupyter (spark.sql.repl.eagerEval) would run the query twice."""
        IPython.display.display(
            IPython.display.HTML(frame.toPandas().convert_dtypes().to_html(index=False, na_rep="NULL"))
        )

    if gb.GatewayConfig.from_env().host is None:
        from gateway_batch.devgateway import Settings, started

        development = started(Settings(port=0, token=secrets.token_urlsafe()))
        os.environ |= {"DATABRICKS_HOST": development.host, "DATABRICKS_TOKEN": development.token}

config = gb.GatewayConfig.from_env(request_tags={"project": "notebooks"})

# COMMAND ----------

# MAGIC %md
# MAGIC Texts that every machine has, for the examples: what Python's standard library says about its functions.

# COMMAND ----------

import importlib
import inspect


def documentation(modules):
    """Names, modules and texts of the functions of modules, as a DataFrame."""
    rows = [
        (f"{module}.{name}", module, text)
        for module in modules
        for name, function in inspect.getmembers(importlib.import_module(module), inspect.isroutine)
        if (text := inspect.getdoc(function)) and len(text) > 60
    ]
    return spark.createDataFrame(rows, "name STRING, module STRING, text STRING")
