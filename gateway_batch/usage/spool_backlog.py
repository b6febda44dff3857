"""What waits in a spool folder for a flush: for which table, how much, since when."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway_batch.usage.manifests import CommitId, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.segment import Kind, event_id, origin_of, read_lines
from gateway_batch.usage.segment_names import SegmentName, host_of, key_of_table, table_key
from gateway_batch.usage.segment_tables import is_for, table_of
from gateway_batch.usage.spool_folders import active_dir, active_segments, sealed_dir, sealed_segments, writer_dirs
from gateway_batch.usage.strangers import strangers
from gateway_batch.usage.writer_locks import Life, examined, segment_origin


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records of one usage table that are in the spool folder, those of living processes aside.

    Attributes:
        key: the `table_key` of the table; None for records of version 0.1, which go to whoever flushes.
        table: the table's name; None where `key` is, and where it is damaged.
        records: that the next flush into the table commits. Those that a dead process did not hand over are among them,
            and for another table than the one that was asked about also such as a flush of it has committed and not
            yet removed.
        unproven: records of processes that no flush on this machine can prove dead, as they ran on another.
        hosts: where these processes ran.
        since: when the oldest of them was written, UTC.
    """

    key: str | None
    table: str | None
    records: int
    unproven: int
    hosts: tuple[str, ...]
    since: datetime

    def is_for(self, table: str) -> bool:
        """Whether a flush into a table takes them."""
        return self.key in (None, table_key(table))


@dataclass(frozen=True, slots=True)
class SpoolBacklog:
    """All that waits in a spool folder.

    Attributes:
        waiting: by table.
        strangers: files and folders that are not of the spool or can't be read; they are left alone.
    """

    waiting: tuple[Waiting, ...] = ()
    strangers: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Sum:
    table: str | None = None
    records: int = 0
    unproven: int = 0
    hosts: frozenset[str] = frozenset()
    since: float = float("inf")


def backlog(spool_dir: Path, processed: ProcessedSegments | None = None) -> SpoolBacklog:
    """Looks through a spool folder. Nothing is written.

    Args:
        spool_dir: the spool folder; it may be missing.
        processed: segments that are known to be committed.
    """
    sums: defaultdict[str | None, _Sum] = defaultdict(_Sum)
    if sealed_dir(spool_dir).is_dir():
        for path, name in sealed_segments(spool_dir):
            if processed is None or name not in processed:
                with contextlib.suppress(OSError):  # drained since
                    _add_sealed(sums[table_of(path, name)], path, name)
    if active_dir(spool_dir).is_dir():
        for folder in writer_dirs(spool_dir):
            with contextlib.suppress(OSError):  # recovered since, or not readable: among the strangers
                _add_unsealed(sums, folder)
    waiting = (
        Waiting(key, each.table, each.records, each.unproven, tuple(sorted(each.hosts)), _time(each.since))
        for key, each in sums.items()
        if each.records or each.unproven
    )
    return SpoolBacklog(tuple(sorted(waiting, key=lambda each: each.table or "")), tuple(strangers(spool_dir)))


def records_waiting(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> int:
    """Records that the next flush commits to a table, those that dead processes left among them. Nothing is written.

    Args:
        spool_dir: the spool folder; it may be missing.
        table: the usage table's name.
        last_transaction: the table's last transaction version of an application.
    """
    found = backlog_of(spool_dir, table, last_transaction).waiting
    return sum(each.records for each in found if each.is_for(table))


def backlog_of(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> SpoolBacklog:
    """As `backlog`, without what is known to be committed to a table."""
    own = sealed_dir(spool_dir).is_dir() and any(is_for(*segment, table) for segment in sealed_segments(spool_dir))
    return backlog(spool_dir, _processed(spool_dir, table, last_transaction) if own else None)


def _processed(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> ProcessedSegments:
    manifests = Manifests(spool_dir)
    if not (manifests.last_counter(table) and manifests.id_files()):
        return ProcessedSegments()
    drain = manifests.drain_id()
    version = last_transaction(drain)
    manifest = None if version is None else manifests.read(table, CommitId.of_version(drain, version))
    return ProcessedSegments() if manifest is None else manifest.processed


def _add_sealed(found: _Sum, path: Path, name: SegmentName) -> None:
    written_at = path.stat().st_mtime
    if found.table is None and (origin := origin_of(path)) is not None:
        found.table = origin.table
    found.records += name.rows
    if name.rows:
        found.since = min(found.since, written_at)


def _add_unsealed(sums: defaultdict[str | None, _Sum], folder: Path) -> None:
    with examined(folder) as life:
        segments = active_segments(folder)
        if life is Life.LIVING or not segments:
            return
        table = segment_origin(folder).table
        found = sums[key_of_table(folder.name) or (table and table_key(table))]
        found.table = found.table or table
        attempts = {event for path in segments for event in _attempts(path)}
        found.since = min(found.since, *(path.stat().st_mtime for path in segments))
        if life is Life.DEAD:
            found.records += len(attempts)
        else:
            found.unproven += len(attempts)
            found.hosts |= {host_of(folder.name) or folder.name}


def _attempts(path: Path) -> Iterator[str]:
    return (event_id(line) for kind, line in read_lines(path) if kind in (Kind.INTENT, Kind.OUTCOME))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
