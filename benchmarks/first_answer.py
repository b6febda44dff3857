"""A process that wants one answer, and says when it has it: the child of `cold_start`."""

from __future__ import annotations

import argparse
import os
import tempfile

_QUESTION = "What can you offer me?"


def ask_ai_query(host: str) -> None:
    """Through Spark SQL."""
    import gateway_batch as gb

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as warehouse:
        spark = gb.local_session(warehouse=warehouse, master="local[2,4]")
        gb.register_ai_query(spark, gb.GatewayConfig.from_env(host=host, token="bench"))
        spark.sql(f"SELECT ai_query('bench-model', '{_QUESTION}')").collect()
        _say_so()


def ask_nothing(host: str) -> None:
    """Through Spark, a function of Arrow batches that returns what it was given."""
    from pyspark.sql import functions as F

    import gateway_batch as gb
    from benchmarks.idle import same

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as warehouse:
        spark = gb.local_session(warehouse=warehouse, master="local[2,4]")
        spark.range(1).select(same(F.lit(_QUESTION))).collect()
        _say_so()


def ask_client(host: str) -> None:
    """Without Spark."""
    import gateway_batch as gb

    with tempfile.TemporaryDirectory() as spool_dir:
        config = gb.GatewayConfig.from_env(host=host, token="bench", spool_dir=spool_dir)
        with gb.Client(config) as client:
            client.query("bench-model", _QUESTION)
            _say_so()


def _say_so() -> None:
    print("answered", flush=True)


def main() -> None:
    ask = {"ai_query": ask_ai_query, "nothing": ask_nothing, "client": ask_client}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=ask)
    parser.add_argument("host", help="base URL of the server")
    options = parser.parse_args()
    ask[options.kind](options.host)
    os._exit(0)  # Spark goes with its parent; what an end costs is not asked here


if __name__ == "__main__":
    main()
