"""What the present drain is known not to bear. To be emptied as it learns to."""

from __future__ import annotations

from collections.abc import Set

SETS_OF_FAULTS: tuple[frozenset[str], ...] = (
    frozenset({"repeated_file"}),
    frozenset({"delayed_file", "kill_drain"}),
)
"""Faults that together make it count rows twice: it knows a segment only as long as the segment's file is there."""

OS_ERRORS = True
"""Where the spool folder fails it, `flush()` raises the bare OSError and not a LedgerError; the records are safe."""


def is_known(kinds: Set[str]) -> bool:
    """Whether books that disagree are expected of a run with faults of these kinds."""
    return any(known <= kinds for known in SETS_OF_FAULTS)
