"""A run's ledger against the gateway's, by the classes of `reconcile`; no attempt may have two rows. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway_batch.spark.ledger.reconcile import CLASSES, NEVER_SENT, UNKNOWN_RESOLVED, classes_reconcile

AGREE, DISAGREE, BROKEN = "agree", "disagree", "broken"
VERDICTS = (AGREE, DISAGREE, BROKEN)
"""`broken`: the run itself did not get to its end."""


@dataclass(frozen=True)
class RunLedger:
    """Both sides, counted.

    Attributes:
        sent: requests in the gateway's own ledger.
        rows: in the usage table.
        distinct: event ids of these.
        outcomes: rows by outcome.
        classes: requests that are not simply matched, by class.
        unknown: requests of class never-sent or unknown-resolved whose row is of unknown outcome.
    """

    sent: int
    rows: int
    distinct: int
    outcomes: Mapping[str, int]
    classes: Mapping[str, int]
    unknown: int


def count(sent: int, ours: Iterable[tuple[str, str]], classes: Iterable[tuple[str, str]]) -> RunLedger:
    """Counts the table's event ids with their outcomes, and reconciliation's event ids with their classes."""
    ours = list(ours)
    outcome_of, classes = dict(ours), list(classes)
    found = Counter(name for _, name in classes)
    open_ids = [event_id for event_id, name in classes if name in (NEVER_SENT, UNKNOWN_RESOLVED)]
    return RunLedger(
        sent=sent,
        rows=len(ours),
        distinct=len(outcome_of),
        outcomes=dict(Counter(outcome for _, outcome in ours)),
        classes={name: found[name] for name in CLASSES if found[name]},
        unknown=sum(outcome_of[event_id] == "unknown" for event_id in open_ids),
    )


def complaints(run_ledger: RunLedger, *, most_unknown: int, may_cut_off: bool) -> list[str]:
    """What is wrong with the ledger; nothing if it reconciles.

    Args:
        run_ledger: of the run.
        most_unknown: how many requests may be of unknown outcome: what was in flight at the kills.
        may_cut_off: whether anything cut connections or cancelled requests, so that rows without an answer are right.
    """
    wrong = []
    if not classes_reconcile(run_ledger.classes):
        wrong.append(f"the ledger doesn't reconcile: {dict(run_ledger.classes)}")
    if run_ledger.rows != run_ledger.distinct:
        wrong.append(f"{run_ledger.rows} rows, but {run_ledger.distinct} event ids")
    if run_ledger.outcomes.get("unknown", 0) > most_unknown or run_ledger.unknown > most_unknown:
        wrong.append(
            f"{run_ledger.outcomes.get('unknown', 0)} of unknown outcome, {most_unknown} at most were in flight"
        )
    if run_ledger.outcomes.get("no_answer", 0) and not may_cut_off:
        wrong.append(f"{run_ledger.outcomes['no_answer']} without an answer, though nothing cut them off")
    return wrong
