"""What waits in a spool folder for a flush: for which table, how much, since when."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.local_files.private import NotPrivateError, check_not_planted
from gateway_batch.usage.foreign_files import strangers
from gateway_batch.usage.manifests import CommitId, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.segment import Kind, event_id, origin_of, read_lines
from gateway_batch.usage.segment_names import SegmentName, host_of, key_of_table, table_key
from gateway_batch.usage.segment_tables import is_for, table_of
from gateway_batch.usage.spool_folders import active_segments, sealed_segments, writer_dirs
from gateway_batch.usage.writer_locks import Life, life_of, segment_origin

_LATEST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp() - 86_400.0
"""A file may have a time that no calendar has."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records of one usage table that are in the spool folder, those of living processes aside.

    Attributes:
        key: the `table_key` of the table; None for records of version 0.1, which go to whoever flushes.
        table: the table's name; None where `key` is, and where it is damaged.
        records: that the next flush into the table commits. Those that a dead process did not hand over are among them,
            and for another table than the one that was asked about also such as a flush of it has committed and not
            yet removed.
        elsewhere: records of processes that no flush on this machine can prove dead, as they ran on another.
        hosts: where these processes ran.
        unlocked: records of processes that no flush can prove dead, as their locks are gone.
        folders: of these processes.
        since: when the oldest of them was written, UTC.
    """

    key: str | None
    table: str | None
    records: int
    elsewhere: int
    hosts: tuple[str, ...]
    unlocked: int
    folders: tuple[Path, ...]
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
    elsewhere: int = 0
    hosts: set[str] = field(default_factory=set)
    unlocked: int = 0
    folders: set[Path] = field(default_factory=set)
    since: float = float("inf")


def backlog(spool_dir: Path, processed: ProcessedSegments | None = None, local_dir: Path | None = None) -> SpoolBacklog:
    """Looks through a spool folder. Nothing is written.

    Args:
        spool_dir: the spool folder; it may be missing.
        processed: segments that are known to be committed.
        local_dir: where this host keeps records that are on their way there; None: nowhere. It may be missing.

    Raises:
        LedgerError: a folder can't be read.
    """
    sums: defaultdict[str | None, _Sum] = defaultdict(_Sum)
    seen: set[tuple[str, str]] = set()
    strange: list[Path] = []
    for folder in (spool_dir, *_taken_from(local_dir)):
        with reading(folder):
            _add_all(sums, folder, processed or ProcessedSegments(), seen)
            strange += strangers(folder)
    waiting = (_waiting(key, each) for key, each in sums.items() if each.records or each.elsewhere or each.unlocked)
    return SpoolBacklog(tuple(sorted(waiting, key=lambda each: each.table or "")), tuple(strange))


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raises LedgerError in place of OSError: a spool is private to the user who made it."""
    try:
        yield
    except OSError as error:
        raise LedgerError(f"what waits in {folder} can't be read: {error.strerror}") from error


def records_waiting(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> int:
    """Records that the next flush commits to a table, those that dead processes left among them. Nothing is written.

    Args:
        spool_dir: the spool folder; it may be missing.
        table: the usage table's name.
        last_transaction: the table's last transaction version of an application.
    """
    found = backlog_of(spool_dir, table, last_transaction).waiting
    return sum(each.records for each in found if each.is_for(table))


def backlog_of(
    spool_dir: Path, table: str, last_transaction: Callable[[str], int | None], local_dir: Path | None = None
) -> SpoolBacklog:
    """As `backlog`, without what is known to be committed to a table."""
    with reading(spool_dir):
        own = any(is_for(*segment, table) for segment in _sealed(spool_dir))
        processed = _processed(spool_dir, table, last_transaction) if own else None
    return backlog(spool_dir, processed, local_dir)


def _processed(spool_dir: Path, table: str, last_transaction: Callable[[str], int | None]) -> ProcessedSegments:
    manifests = Manifests(spool_dir)
    if not (manifests.last_counter(table) and manifests.id_files()):
        return ProcessedSegments()
    drain = manifests.drain_id()
    version = last_transaction(drain)
    manifest = None if version is None else manifests.read(table, CommitId.of_version(drain, version))
    return ProcessedSegments() if manifest is None else manifest.processed


def _taken_from(local_dir: Path | None) -> list[Path]:
    """This host's own folder, if a flush takes over what is in there."""
    try:
        if local_dir is not None:
            check_not_planted(local_dir, "remove it")
            return [local_dir]
    except NotPrivateError:
        pass
    return []


def _sealed(spool_dir: Path) -> list[tuple[Path, SegmentName]]:
    try:
        return sealed_segments(spool_dir)
    except FileNotFoundError:
        return []


def _add_all(
    sums: defaultdict[str | None, _Sum], spool_dir: Path, processed: ProcessedSegments, seen: set[tuple[str, str]]
) -> None:
    for path, name in _sealed(spool_dir):
        if name not in processed and (name.writer, name.number) not in seen:
            seen.add((name.writer, name.number))
            with contextlib.suppress(OSError):  # drained since
                _add_sealed(sums[table_of(path, name)], path, name)
    with contextlib.suppress(FileNotFoundError):
        for folder in writer_dirs(spool_dir):
            with contextlib.suppress(OSError):  # recovered since, or not readable: among the strangers
                _add_unsealed(sums, folder)


def _add_sealed(found: _Sum, path: Path, name: SegmentName) -> None:
    written_at = path.stat().st_mtime
    if found.table is None and (origin := origin_of(path)) is not None:
        found.table = origin.table
    found.records += name.rows
    if name.rows:
        found.since = min(found.since, written_at)


def _add_unsealed(sums: defaultdict[str | None, _Sum], folder: Path) -> None:
    life, segments = life_of(folder), active_segments(folder)
    if life is Life.LIVING or not segments:
        return
    table = segment_origin(folder).table
    attempts = len({event for path in segments for event in _attempts(path)})
    since = min(path.stat().st_mtime for path in segments)
    found = sums[key_of_table(folder.name) or (table and table_key(table))]
    found.table = found.table or table
    found.since = min(found.since, since)
    if life is Life.DEAD:
        found.records += attempts
    elif life is Life.ELSEWHERE:
        found.elsewhere += attempts
        found.hosts.add(host_of(folder.name) or folder.name)
    else:
        found.unlocked += attempts
        found.folders.add(folder)


def _attempts(path: Path) -> Iterator[str]:
    return (event_id(line) for kind, line in read_lines(path) if kind in (Kind.INTENT, Kind.OUTCOME))


def _waiting(key: str | None, found: _Sum) -> Waiting:
    since = datetime.fromtimestamp(max(0, min(found.since, _LATEST)), UTC)
    hosts, folders = tuple(sorted(found.hosts)), tuple(sorted(found.folders))
    return Waiting(key, found.table, found.records, found.elsewhere, hosts, found.unlocked, folders, since)
