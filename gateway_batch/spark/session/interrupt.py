"""Ctrl-C in the driver cancels what Spark runs.

pyspark means to: its handler calls the JVM. It does so in the main thread, which waits for the JVM's answer on the same
connection just then, so the call fails ("reentrant call") and the job runs on.
"""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

from pyspark import SparkContext

_CANCEL_WITHIN_S = 5.0


def cancel_jobs_on_interrupt() -> None:
    """Puts a handler of SIGINT in the place of pyspark's, with its meaning: all jobs are cancelled.

    Any other handler stays, as the application's own does, or Jupyter's. Does nothing off the main thread.
    """
    if threading.current_thread() is threading.main_thread() and _is_pysparks(signal.getsignal(signal.SIGINT)):
        signal.signal(signal.SIGINT, _cancel_and_raise)


def _is_pysparks(handler: object) -> bool:
    return getattr(handler, "__qualname__", "").startswith("SparkContext.")


def _cancel_and_raise(*_: object) -> NoReturn:
    cancelling = threading.Thread(target=_cancel_all_jobs, name="gateway_batch_cancel", daemon=True)
    cancelling.start()  # a thread has a connection of its own
    cancelling.join(_CANCEL_WITHIN_S)
    raise KeyboardInterrupt


def _cancel_all_jobs() -> None:
    context = SparkContext._active_spark_context
    if context is not None and context._jsc is not None:
        context.cancelAllJobs()
