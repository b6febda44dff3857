"""What pyspark forks the workers of a `local_session` from: it has imported what each of them needs to send requests.

A worker starts with each query, once for every task that failed before it, and importing this takes half a second of a
core each time. pyarrow and pandas are left to the workers, as they start threads, which no fork takes along.
"""

from __future__ import annotations

import gc

from pyspark import daemon

import gateway_batch.runtime  # noqa: F401

if __name__ == "__main__":
    gc.freeze()  # a worker looks for garbage after each task, among what it made alone
    daemon.manager()
