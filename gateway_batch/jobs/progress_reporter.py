"""Reports a batch job's progress: after each chunk, and once a second what can be seen of the current one."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gateway_batch.jobs.progress import summary
from gateway_batch.jobs.report import BatchReport
from gateway_batch.usage.spool_progress import SpoolWatch, Traffic

_EVERY_S = 1.0
_log = logging.getLogger(__name__)


class ProgressReporter:
    """A run's newest report, passed on to a listener.

    Args:
        report: to begin with.
        spool_dir: where the run's requests are recorded.
        listener: is called with each report, one call at a time.
        began: when the run did, by the monotonic clock.
    """

    def __init__(
        self, report: BatchReport, spool_dir: Path, listener: Callable[[BatchReport], None] | None, began: float
    ) -> None:
        self._report = report
        self._listener = listener
        self._watch = SpoolWatch(spool_dir)
        self._began = began
        self._before = Traffic()
        with contextlib.suppress(OSError):
            self._before = self._watch.look()
        self._answered = 0  # requests of this run at the last chunk's report
        self._traffic = Traffic()
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="gateway_batch_progress", daemon=True)

    @property
    def report(self) -> BatchReport:
        """The newest."""
        return self._report

    def __enter__(self) -> ProgressReporter:
        if self._listener is not None:
            with self._lock:
                self._say()
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()

    def report_chunk(self, **changes: Any) -> BatchReport:
        """Reports a chunk, or the end.

        Raises:
            Exception: what the listener raised, now or while the chunk was at work.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._look()
            self._answered = self._traffic.attempts - self._traffic.rate_limited
            try:
                report = self._say(under_way=0, **changes)
                _log.info("batch job %s", summary(report), extra={"gateway_batch": report.as_json()})
                return report
            except BaseException:
                self._ended.set()
                raise

    def _tick(self) -> None:
        while not self._ended.wait(_EVERY_S):
            with self._lock:
                if self._ended.is_set():
                    return
                self._look()
                answered = self._traffic.attempts - self._traffic.rate_limited - self._answered
                try:
                    self._say(under_way=max(0, min(answered, self._report.left)))
                except Exception as error:
                    self._failure = error
                    return

    def _look(self) -> None:
        with contextlib.suppress(OSError):  # this process can't see the spool
            self._traffic = self._watch.look().since(self._before)

    def _say(self, **changes: Any) -> BatchReport:
        self._report = replace(self._report, **changes, traffic=self._traffic, seconds=time.monotonic() - self._began)
        if self._listener is not None:
            self._listener(self._report)
        return self._report
