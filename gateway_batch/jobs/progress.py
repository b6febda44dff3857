"""How a batch job stands, for people: lines of text, and a bar in a notebook."""

from __future__ import annotations

import html
from typing import Any

from gateway_batch.jobs.report import BatchReport


def figures(report: BatchReport) -> str:
    """One line of how a run stands."""
    done = report.rows + report.under_way
    rate = done / report.seconds if report.seconds else 0.0
    parts = [f"{done:,} of {report.planned:,} rows", f"{rate:,.0f} rows/s"]
    if report.traffic.in_flight:
        parts.append(f"{report.traffic.in_flight:,} in flight")
    parts.append(f"{report.input_tokens + report.output_tokens:,} tokens")
    if report.cost_usd is not None:
        parts.append(f"{report.cost_usd:,.4f} USD")
        if 0 < report.rows < report.planned:
            parts.append(f"about {report.cost_usd * report.planned / report.rows:,.4f} USD in the end")
    if report.traffic.rate_limited:
        parts.append(f"{report.traffic.rate_limited:,} times 429")
    parts += [f"{count:,} {kind}" for kind, count in sorted(report.errors.items())]
    parts += _endings(report)
    if rate and 0 < done < report.planned:
        parts.append(f"{duration((report.planned - done) / rate)} left")
    return ", ".join(parts)


def summary(report: BatchReport) -> str:
    """What a run did, in one line; of one that was interrupted, about what it sent and did not commit, too."""
    skipped = f"; {report.skipped:,} rows of the source can't be read and were left out" if report.skipped else ""
    if not report.planned:
        return f"{report.output}: nothing to do, all rows have their answer ({report.seconds:,.1f} s){skipped}"
    cost = "cost not known" if report.cost_usd is None else f"{report.cost_usd:,.4f} USD"
    failed = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.errors.items()))
    return (
        f"{report.output}: {report.rows:,} of {report.planned:,} rows in {report.seconds:,.1f} s, "
        f"{report.left:,} left; "
        f"{report.requests:,} requests sent, {report.saved:,} saved{_kept(report)}; "
        f"{report.input_tokens:,} + {report.output_tokens:,} tokens, {cost}; "
        f"{report.failed_rows:,} failed{f' ({failed})' if failed else ''}"
        f"{''.join(f', {ending}' for ending in _endings(report))}{skipped}"
    )


def _endings(report: BatchReport) -> list[str]:
    counts = {"cut off": report.cut_off, "filtered": report.filtered, "empty": report.empty}
    return [f"{count:,} {name}" for name, count in counts.items() if count]


def _kept(report: BatchReport) -> str:
    if report.ended or not report.under_way:
        return ""
    return f", and about {report.under_way:,} whose answers are kept for the next run"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, without leading zeros: `1:02:03`, `2:03`, `0:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class NotebookBar:
    """A bar under a notebook's cell, with its figures."""

    def __init__(self) -> None:
        self._shown: Any = None

    def update(self, report: BatchReport) -> None:
        """Takes the newest report."""
        from IPython.display import HTML, display

        ended = report.ended
        text = summary(report) if ended else figures(report)
        done = report.planned if ended and not report.left else report.rows + report.under_way
        bar = (
            "" if ended else f'<progress value="{done}" max="{max(1, report.planned)}" style="width:20em"></progress> '
        )
        page = HTML(f"<div>{bar}{html.escape(text)}</div>")  # type: ignore[no-untyped-call]
        if self._shown is None:
            self._shown = display(page, display_id=True)  # type: ignore[no-untyped-call]
        elif self._shown:
            self._shown.update(page)


def in_notebook() -> bool:
    """Whether this code runs in a notebook's kernel."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
