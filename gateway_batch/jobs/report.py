"""What a batch job did so far, and in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from gateway_batch.usage.spool_progress import Traffic


class Status(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAIL_IF = "fail_if"  # the condition held
    BUDGET = "budget"  # the budget was spent: rows that it had no room for are left
    INTERRUPTED = "interrupted"  # by Ctrl-C
    FAILED = "failed"  # by an error


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of some rows, which are in the output table.

    Attributes:
        rows: that were answered, failed ones among them; those that sent nothing too.
        unsent: further rows that the budget had no room for: not in the table.
        errors: failed rows by kind: an `ErrorKind`, or `does_not_fit`.
        cut_off, filtered, empty: as in `BatchReport`.
        cost_usd: of the rows' answers; None where a price is not known.
    """

    rows: int = 0
    unsent: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    cut_off: int = 0
    filtered: int = 0
    empty: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A run of a batch job; what is not committed is not counted.

    Attributes:
        output: the output table.
        run_id: of this run and of the interrupted ones that it resumes.
        status: how it stands.
        planned: rows that were to be answered.
        skipped: rows of the source's file that can't be read, which were left out.
        rows: of these, in the output table now, failed ones among them.
        failed_rows: rows with an error.
        errors: failed rows by kind: an `ErrorKind`, or `does_not_fit`.
        cut_off: rows whose answer a limit of tokens cut off, failed ones among them.
        filtered: rows that a filter or the model itself withheld the answer from, or a part of it; failed ones, too.
        empty: rows with an answer that is an empty text, or blank. They count as answered.
        requests: that were sent, each once however often it was tried.
        saved: requests that were not sent, as their answer was there; of an embedding service, which takes several rows
            in a request, rows.
        input_tokens, output_tokens: of the rows' answers, as reported or estimated.
        cost_usd: of the same, by the endpoint's price or its list price; None where none is known.
        seconds: so far.
        under_way: rows of the chunk at work that seem to be answered already.
        traffic: of this run, as the spool shows it: about what was sent since its beginning.
    """

    output: str
    run_id: str
    planned: int
    started_at: datetime
    status: Status = Status.RUNNING
    rows: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    saved: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = Decimal(0)
    seconds: float = 0.0
    under_way: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    skipped: int = 0
    cut_off: int = 0
    filtered: int = 0
    empty: int = 0

    @property
    def ended(self) -> bool:
        """Whether this is the run's last report."""
        return self.status is not Status.RUNNING

    @property
    def failed_rows(self) -> int:
        """Rows with an error."""
        return sum(self.errors.values())

    @property
    def left(self) -> int:
        """Rows that a further run would begin with."""
        return self.planned - self.rows

    @property
    def measures(self) -> dict[str, Decimal | None]:
        """What conditions can be about."""
        return {
            "error_rate": Decimal(self.failed_rows) / self.rows if self.rows else None,
            "failed_rows": Decimal(self.failed_rows),
            "rows": Decimal(self.rows),
            "cut_off": Decimal(self.cut_off),
            "filtered": Decimal(self.filtered),
            "empty": Decimal(self.empty),
            "total_tokens": Decimal(self.input_tokens + self.output_tokens),
            "cost_usd": self.cost_usd,
        }

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it; money as a decimal text."""
        return {
            "output": self.output,
            "run_id": self.run_id,
            "status": self.status.value,
            "planned": self.planned,
            "rows": self.rows,
            "left": self.left,
            "skipped": self.skipped,
            "failed_rows": self.failed_rows,
            "errors": dict(self.errors),
            "cut_off": self.cut_off,
            "filtered": self.filtered,
            "empty": self.empty,
            "requests": self.requests,
            "saved": self.saved,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.cost_usd is None else f"{self.cost_usd:f}",
            "started_at": self.started_at.isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 3),
        }


def added(report: BatchReport, chunk: Chunk) -> dict[str, Any]:
    """The counts of a report with a chunk's."""
    cost = None if report.cost_usd is None or chunk.cost_usd is None else report.cost_usd + chunk.cost_usd
    return {
        "rows": report.rows + chunk.rows,
        "errors": dict(Counter(report.errors) + Counter(chunk.errors)),
        "cut_off": report.cut_off + chunk.cut_off,
        "filtered": report.filtered + chunk.filtered,
        "empty": report.empty + chunk.empty,
        "input_tokens": report.input_tokens + chunk.input_tokens,
        "output_tokens": report.output_tokens + chunk.output_tokens,
        "cost_usd": cost,
    }
