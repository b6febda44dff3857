"""A partition's work ends when Spark has no more use for it: cancelled, failed elsewhere, or enough rows at a LIMIT.

Spark reports none of this to a Python worker. Its task looks whether it was cancelled when rows arrive, and it hangs up
when it has ended. Without rows a cancelled task went on sending for 2.8 s, until Spark killed the worker, and a LIMIT's
for as long as its rows lasted. So a worker without answers sends a batch of no rows every `HEARTBEAT_S`: the task
looks, and hangs up; the worker finds that out as it writes.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

HEARTBEAT_S = 0.1
"""A hang-up is found out with the second write after it at the latest."""


def flusher() -> Callable[[], None]:
    """What hands Spark's task at once what this worker has written; to be called on the worker's own stack.

    Spark's stream to the task is an argument of `pyspark.worker.main` and nowhere else. Where it isn't found, batches
    arrive as its buffer of 64 kB is full.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "main" and "outfile" in frame.f_code.co_varnames:
            stream: Any = frame.f_locals["outfile"]
            return lambda: stream.flush()
        frame = frame.f_back
    return lambda: None


@contextlib.contextmanager
def ended_by_exception() -> Iterator[None]:
    """Makes SIGHUP an exception (SystemExit), so that what is in flight is recorded before the worker ends.

    Spark's daemon sends it as the application or the executor ends, a query under way or not.
    """
    if threading.current_thread() is not threading.main_thread():  # no place for signals
        yield
        return

    def end(*_: object) -> NoReturn:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise SystemExit("Spark has ended")

    before = signal.signal(signal.SIGHUP, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
