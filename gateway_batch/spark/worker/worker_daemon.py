"""What pyspark forks the workers of a `local_session` from: it has imported what each of them needs to answer rows.

A worker starts with each query, once for every task that failed before it, and importing all this takes a second of a
core. pyspark itself leaves it to the workers, as no thread lives on in a fork. Two libraries start one as they are
imported, OpenBLAS (by numpy) and jemalloc (by pyarrow), and both begin anew in a child by handlers of `pthread_atfork`.
"""

from __future__ import annotations

import gc

import pandas  # noqa: F401  # pyarrow imports it as it makes its first array of a list
import pyspark.worker  # noqa: F401
from pyspark import daemon

import gateway_batch.spark.worker.partition
import gateway_batch.transport.reqwest  # noqa: F401

if __name__ == "__main__":
    gc.freeze()  # a worker looks for garbage after each task, among what it made alone
    daemon.manager()
