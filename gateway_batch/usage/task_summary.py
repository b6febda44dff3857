"""What a Spark task's call of a function did: one row of the table `ai_query_tasks`.

It has what usage records can't have: rows that were not sent because their answer was there, and rows that failed. It
goes through the spool as they do, but only when the task ends: a task that is killed leaves none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Self

from gateway_batch.types import Price
from gateway_batch.usage.record import Int32
from gateway_batch.usage.segment import Kind, line_of, read_lines_of

UNFIT = "does_not_fit"
"""Besides the `ErrorKind`s: why a row failed whose answer is not of the type or schema asked for."""

_MICRO = Decimal("0.000001")
_TOO_MUCH = 1e12


@dataclass(kw_only=True)
class TokenPrice:
    """US dollars for a million tokens, as `types.Price` has them; None: as `input`."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_creation: Decimal | None = None

    @classmethod
    def of(cls, price: Price | None) -> Self | None:
        """A price as decimals of six places; None for none, and for one that no table holds."""
        if price is None or not all(each is None or each < _TOO_MUCH for each in _parts(price)):
            return None
        given, answered, read, created = map(_decimal, _parts(price))
        return cls(input=given, output=answered, cache_read=read, cache_creation=created)


@dataclass(kw_only=True)
class TaskSummary:
    """One call of a function in one attempt at a Spark task. No text of a prompt or an answer is in here.

    Attributes:
        summary_id: unique.
        query_execution_id: Spark's `spark.sql.execution.root.id`; None where Spark names no query.
        job_id, job_run_id, notebook_path: of Databricks, where its caller knows them.
        complete: whether all rows of the partition were answered; not, if the task failed, was cancelled or had enough.
        rows: that were handed back to Spark, failed ones and those that sent nothing among them.
        requests: different requests that this task sent, each once however often it was tried; rows, where a service
            takes several in one request.
        saved: in the same unit, that were not sent, as the cache had their answer.
        failed: rows that failed, by `ErrorKind` or `does_not_fit`. One that ended the task is counted, and no row of
            `rows`.
        price: of the endpoint's tokens at that time; None where none is known.
    """

    summary_id: str
    application_id: str | None = None
    query_execution_id: str | None = None
    stage_id: Int32 | None = None
    partition_id: Int32 | None = None
    task_attempt: Int32 | None = None
    function: str | None = None
    endpoint_name: str | None = None
    model: str | None = None
    requester: str | None = None
    job_id: str | None = None
    job_run_id: str | None = None
    notebook_path: str | None = None
    complete: bool = False
    rows: int = 0
    requests: int = 0
    saved: int = 0
    failed: dict[str, int] | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    price: TokenPrice | None = None


def task_line(summary: TaskSummary) -> bytes:
    """A summary as a line of the spool, its newline included."""
    price = None if summary.price is None else {name: _text(value) for name, value in vars(summary.price).items()}
    return line_of(Kind.TASK, {**vars(summary), "price": price})


def task_lines(segment: Path) -> Iterator[bytes]:
    """The undamaged summaries of a segment, as lines."""
    return read_lines_of(Kind.TASK, segment)


def _parts(price: Price) -> tuple[float | None, ...]:
    return price.input, price.output, price.cache_read, price.cache_creation


def _decimal(dollars: float | None) -> Decimal | None:
    return None if dollars is None else Decimal(str(dollars)).quantize(_MICRO)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
