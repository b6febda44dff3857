"""A session that loads what most tests load: run to keep its classes (`scripts/class_archive.sh`)."""

from __future__ import annotations

import tempfile

from pyspark import SparkContext

import gateway_batch as gb
from gateway_batch.devgateway import Settings, running
from tests.quick_start import SMALL_TABLES


def main() -> None:
    """Runs queries of each kind once."""
    with tempfile.TemporaryDirectory() as folder, running(Settings(port=0, token="t0ken")) as server:
        settings = {"spark.log.level": "ERROR", "spark.sql.shuffle.partitions": "1", **SMALL_TABLES}
        spark = gb.local_session(f"{folder}/warehouse", "local[2,2]", settings=settings)
        config = gb.GatewayConfig.from_env(host=server.host, token="t0ken", spool_dir=f"{folder}/spool")
        texts = spark.range(20).selectExpr("id", "'Lake ' || id AS body")
        texts.write.format("delta").saveAsTable("lakes")
        with gb.register_ai_query(spark, config):
            spark.sql("SELECT ai_query('databricks-gpt-5-4', body) FROM lakes ORDER BY id").collect()
        gb.run_batch(spark, gb.BatchJob("lakes", "answers", ["id"], "databricks-gpt-5-4", "Summarize: {body}"), config)
        spark.sql("SELECT model, count(*) FROM answers GROUP BY model HAVING count(*) > 1").collect()
        assert SparkContext._gateway is not None
        java = SparkContext._gateway.proc
        spark.stop()
        java.stdin.close()  # it ends, and writes them down then
        java.wait()


if __name__ == "__main__":
    main()
