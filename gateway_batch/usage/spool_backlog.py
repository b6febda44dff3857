"""What waits in a spool folder for the next flush."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway_batch.usage.manifests import CommitId, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.spool import sealed_dir, sealed_segments


def records_waiting(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> int:
    """Records of sealed segments that no commit to a table has taken. Nothing is written.

    Args:
        spool_dir: the spool folder; it may be missing.
        table: the usage table's name.
        last_transaction: the table's last transaction version of an application.
    """
    if not sealed_dir(spool_dir).is_dir():
        return 0
    segments = sealed_segments(spool_dir)
    processed = _processed(spool_dir, table, last_transaction) if segments else ProcessedSegments()
    return sum(name.rows for _, name in segments if name not in processed)


def _processed(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> ProcessedSegments:
    manifests = Manifests(spool_dir)
    if not manifests.last_counter(table):
        return ProcessedSegments()
    drain = manifests.drain_id()
    version = last_transaction(drain)
    manifest = None if version is None else manifests.read(table, CommitId.of_version(drain, version))
    return ProcessedSegments() if manifest is None else manifest.processed
