"""`ai_query`, its ledger and its cache as they are by default."""

from __future__ import annotations

import tempfile

from pyspark.sql import functions as F

import gateway_batch as gb
from benchmarks.load import MODEL, TOKEN
from benchmarks.peers.child import WARM_UP_FROM, Job, Send, serve
from benchmarks.peers.plain_spark import PARTITIONS, sender


def _open(job: Job) -> Send:
    warehouse = tempfile.mkdtemp(prefix="benchmarks-")
    spark = gb.local_session(
        warehouse=warehouse, master=f"local[{PARTITIONS},4]", settings={"spark.ui.showConsoleProgress": "false"}
    )
    config = gb.GatewayConfig.from_env(host=job.host, token=TOKEN, max_concurrency=job.in_flight)
    gateway = gb.register_ai_query(spark, config)
    ask = sender(spark, lambda text: F.call_function("ai_query", F.lit(MODEL), F.col(text)))

    def send(first: int, end: int) -> None:
        ask(first, end)
        if first >= WARM_UP_FROM:  # the first commit makes the table; later ones come by themselves, each ten seconds
            gateway.usage.flush()

    return send


if __name__ == "__main__":
    serve(_open, ["gateway-batch", "pyspark", "pyreqwest"])
