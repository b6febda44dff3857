"""openaivec's Spark function: one row a request, or as it packs rows by default."""

from __future__ import annotations

import os

from openaivec.spark_ext import responses_udf, setup  # type: ignore[import-not-found, unused-ignore]

from benchmarks.peers.child import Job, Send, serve
from benchmarks.peers.plain_spark import PARTITIONS, sender, session

_INSTRUCTION = "Answer in one sentence."
_TOKENIZED_MODEL = "gpt-4o"


def _open(job: Job) -> Send:
    os.environ["OPENAI_BASE_URL"] = f"{job.host}/v1"
    spark = session()
    setup(spark, api_key="bench", responses_model_name=_TOKENIZED_MODEL)
    spark.sparkContext.environment["OPENAI_BASE_URL"] = f"{job.host}/v1"
    single = {"batch_size": 1, "max_concurrency": job.in_flight // PARTITIONS}
    return sender(spark, responses_udf(_INSTRUCTION, **({} if job.mode == "packed" else single)))


if __name__ == "__main__":
    serve(_open, ["openaivec", "pyspark", "openai"])
