"""Counts what a task's call of a function does, for its summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from gateway_batch.response_cache import SingleFlight
from gateway_batch.spark.calls.call_plan import CallPlan
from gateway_batch.usage.attempts import Caller, new_event_id
from gateway_batch.usage.task_summary import TaskSummary, TokenPrice


class TaskCounts:
    """Of one call in one task. Written by the task's thread, but for `sent`, which is the event loop's.

    Args:
        plan: of the call.
        caller: who sends.
        clock: seconds since the epoch.

    Attributes:
        sent: requests that no cache was asked for.
        rows: handed back to Spark.
        failed: rows by why they failed.
        complete: whether all were answered.
    """

    def __init__(self, plan: CallPlan, caller: Caller, clock: Callable[[], float] = time.time) -> None:
        self._plan = plan
        self._caller = caller
        self._clock = clock
        self._started_at = clock()
        self._single_flight: SingleFlight | None = None
        self._before = (0, 0)
        self.sent = 0
        self.rows = 0
        self.failed: Counter[str] = Counter()
        self.complete = False

    def watch(self, single_flight: SingleFlight | None) -> None:
        """Counts from now on what the cache saves; it may have served other tasks before."""
        self._single_flight = single_flight
        if single_flight is not None:
            self._before = single_flight.sent, single_flight.saved

    @property
    def has_done_anything(self) -> bool:
        """Whether there is something to report: an empty partition has nothing."""
        return bool(self.rows or self.failed or any(self._counts()))

    def summary(self) -> TaskSummary:
        """What was counted so far."""
        plan, caller = self._plan, self._caller
        sent, saved = self._counts()
        return TaskSummary(
            summary_id=new_event_id(),
            application_id=caller.application_id,
            query_execution_id=caller.query_execution_id,
            stage_id=caller.stage_id,
            partition_id=caller.partition_id,
            task_attempt=caller.task_attempt,
            function=plan.function,
            endpoint_name=plan.service.endpoint,
            model=plan.service.model,
            requester=caller.requester,
            job_id=caller.job_id,
            job_run_id=caller.job_run_id,
            notebook_path=caller.notebook_path,
            complete=self.complete,
            rows=self.rows,
            requests=sent,
            saved=saved,
            failed=dict(self.failed),
            started_at=_utc(self._started_at),
            ended_at=_utc(self._clock()),
            price=TokenPrice.of(plan.service.price),
        )

    def _counts(self) -> tuple[int, int]:
        if self._single_flight is None:
            return self.sent, 0
        return self._single_flight.sent - self._before[0], self._single_flight.saved - self._before[1]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
