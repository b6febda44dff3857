"""SynapseML's OpenAIChatCompletion: a transformer in the JVM. Spark fetches its jars the first time."""

from __future__ import annotations

import os

from pyspark.sql import functions as F

from benchmarks.peers.child import Job, Send, serve
from benchmarks.peers.plain_spark import PARTITIONS, rows_of, session

_PACKAGE = "com.microsoft.azure:synapseml-cognitive_2.12:1.1.0"


def _open(job: Job) -> Send:
    spark = session({"spark.jars.packages": _PACKAGE, "spark.jars.ivy": os.environ["BENCHMARKS_IVY"]})
    from synapse.ml.services.openai import (  # type: ignore[import-not-found, unused-ignore]
        OpenAIChatCompletion,  # in the jars
    )

    chat = OpenAIChatCompletion().setSubscriptionKey("bench").setDeploymentName("m").setUrl(f"{job.host}/")
    chat = chat.setMessagesCol("messages").setErrorCol("error").setOutputCol("output")
    chat = chat.setConcurrency(job.in_flight // PARTITIONS)

    def send(first: int, end: int) -> None:
        message = F.struct(F.lit("user").alias("role"), F.col("text").alias("content"), F.lit("customer").alias("name"))
        asked = rows_of(spark, first, end).select(F.array(message).alias("messages"))
        chat.transform(asked).selectExpr("output.choices[0].message.content", "error").write.format("noop").mode(
            "overwrite"
        ).save()

    return send


if __name__ == "__main__":
    serve(_open, ["pyspark"])
