"""From the spool to the usage table: each sealed segment's rows are appended exactly once.

A drain writes down which segments it takes (a manifest), appends their rows in one Delta commit, and only then deletes
them. The commit has the spool folder's own transaction id, and an id that names the manifest. The table's log alone
says what was committed, so that any number of drains on any hosts may die or meet anywhere: of two that try at once
Delta lets one commit, and whoever comes next deletes what the last commit took, once the tasks' summaries in there are
in their own table (`task_table`). A lock on the folder only spares them the trouble, where the mount has locks.

A segment says which table it is for, so that each table has drains, commits and manifests of its own. One of version
0.1 doesn't, and belongs to whoever drains it first: what the other tables took of these is asked of their logs.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import LedgerError
from gateway_batch.local_files.locks import locked
from gateway_batch.spark.delta_tables.lock import table_lock
from gateway_batch.spark.delta_tables.spark_writer import OvertakenError, SparkDeltaWriter, Table
from gateway_batch.spark.ledger.task_table import TaskTable
from gateway_batch.spark.ledger.usage_table import add_missing_columns, create_usage_table
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS, is_classic
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage.arrow import usage_rows
from gateway_batch.usage.foreign_files import shown, strangers, warn_once
from gateway_batch.usage.manifests import CommitId, Manifest, Manifests
from gateway_batch.usage.processed_segments import ProcessedSegments
from gateway_batch.usage.recovery import recover_dead_writers
from gateway_batch.usage.sealed_segment import Damage, keep_damaged, read_sealed
from gateway_batch.usage.segment import FORMAT_VERSION, event_id, format_of
from gateway_batch.usage.segment_names import SegmentName, table_key
from gateway_batch.usage.segment_tables import is_for, names_no_table
from gateway_batch.usage.shipping import ship_if_private
from gateway_batch.usage.spool_backlog import SpoolBacklog, backlog, reading
from gateway_batch.usage.spool_folders import damaged_dir, drain_dir, is_file, prepare, sealed_dir, sealed_segments

_ROWS_A_COMMIT = 200_000
_ROWS_A_BATCH = 10_000
_LOST_AFTER_S = 86_400.0
_TRIES = 20

_in_this_process = threading.Lock()
_log = logging.getLogger(__name__)


class UsageDrain:
    """Drains what a spool folder has for one usage table into it.

    Args:
        spark: a session that can write Delta.
        spool_dir: the spool folder; any number of drains, in any processes of any hosts, may share it.
        table: the usage table's name; made if missing.
        local_dir: where this host keeps records that are on their way to the spool folder; None: nowhere.
    """

    def __init__(self, spark: SparkSession, spool_dir: Path, table: str, local_dir: Path | None = None) -> None:
        prepare(spool_dir)
        self._spark = spark
        self._spool_dir = spool_dir
        self._table = table
        self._local_dir = local_dir
        self._manifests = Manifests(spool_dir)
        self._made = False
        self._overtaken = False
        self._tasks: dict[str, TaskTable] = {}

    def flush(self) -> int:
        """Commits all sealed records, those of this host's dead workers included.

        Returns:
            Rows newly committed to the table.

        Raises:
            LedgerError: the table can't be made or written. The records stay in the spool.
        """
        try:
            with _in_this_process, locked(drain_dir(self._spool_dir) / "lock", where_possible=True):
                recover_dead_writers(self._spool_dir)
                if self._local_dir is not None:
                    ship_if_private(self._local_dir, self._spool_dir)
                return 0 if self._made and not self._own_segments(self._table) else self._drain()
        except OSError as error:
            raise LedgerError(
                f"the spool folder {self._spool_dir} can't be drained into {self._table}: "
                f"{error.strerror or error}{_named(error)}; the records are safe there"
            ) from error
        except WRITE_ERRORS as error:
            raise LedgerError(
                f"the usage table {self._table} can't be written: {first_line(error)} "
                f"The records are safe in {self._spool_dir}."
            ) from error

    def backlog(self) -> SpoolBacklog:
        """What waits in the spool folder and in this host's, without what the table's log shows as committed.

        Raises:
            LedgerError: a folder can't be read.
        """
        processed = None
        with reading(self._spool_dir):
            if self._manifests.last_counter(self._table) and self._spark.catalog.tableExists(quoted(self._table)):
                last = self._last_commit(self._table, _open_table(self._spark, self._table))
                manifest = None if last is None else self._manifests.read(self._table, last)
                processed = None if manifest is None else manifest.processed
        return backlog(self._spool_dir, processed, self._local_dir)

    def _drain(self) -> int:
        self._make()
        self._name_strangers()
        table, committed, tries = _open_table(self._spark, self._table), 0, 0
        while True:
            last = self._last_commit(self._table, table)
            segments, settled = self._next_segments(self._settle(self._table, last))
            if not segments:
                return committed
            try:
                committed += self._commit(table, segments, settled, last)
            except (OvertakenError, FileNotFoundError) as error:  # another drain has taken segments, or deleted them
                self._overtaken = True
                tries += 1
                if tries == _TRIES:
                    raise LedgerError(
                        f"{self._spool_dir} can't be drained: other drains were first {_TRIES} times, or its files "
                        "vanish; what is there is safe"
                    ) from error

    def _make(self) -> None:
        create_usage_table(self._spark, self._table)
        if not self._made:
            add_missing_columns(self._spark, self._table)
            self._made = True

    def _name_strangers(self) -> None:
        for path in strangers(self._spool_dir):
            warn_once(_log, path, f"{shown(path)} is not of the spool, or can't be read: left where it is")

    def _last_commit(self, name: str, table: Table) -> CommitId | None:
        """Asked of the table's log if the folder was drained into it, as far as its own files know."""
        known = self._overtaken or self._manifests.last_counter(name)
        return table.last_commit(self._manifests.drain_id()) if known else None

    def _settle(self, name: str, last: CommitId | None) -> Manifest:
        """Finishes the last commit to a table, whoever made it; returns its manifest."""
        if last is None:
            return Manifest()
        manifest = self._manifests.read(name, last) or self._manifest_by_rows(name, last)
        taken = [sealed_dir(self._spool_dir) / segment for segment in manifest.segments]
        if present := [segment for segment in taken if is_file(segment) and _goes_to(segment, name)]:
            self._tasks_of(name).append(present, last)
        for segment in present:
            segment.unlink(missing_ok=True)
        self._manifests.remove_before(name, last)
        return manifest

    def _manifest_by_rows(self, name: str, last: CommitId) -> Manifest:
        """What a manifest that someone deleted or damaged had of the segments that are there."""
        found = self._with_rows_in(name, self._own_segments(name))
        state = "damaged" if self._manifests.has(name, last) else "gone"
        _log.warning(
            "the manifest of the last commit to %s is %s: %d segments are there already", name, state, len(found)
        )
        return Manifest(tuple(map(str, found)), ProcessedSegments().adding(found), complete=False)

    def _with_rows_in(self, table: str, segments: Iterable[tuple[Path, SegmentName]]) -> list[SegmentName]:
        """Those of which a table has rows: a commit takes a segment whole, so one row is enough."""
        first = {name: next(read_sealed(path, []), None) for path, name in segments if _opens(path)}
        ids = {event_id(line): name for name, line in first.items() if line is not None}
        if not ids:
            return []
        committed = self._spark.table(quoted(table)).select("client_metadata.event_id")
        found = committed.where(F.col("event_id").isin(list(ids))).distinct().collect()
        return sorted((ids[row["event_id"]] for row in found), key=str)

    def _tasks_of(self, name: str) -> TaskTable:
        if name not in self._tasks:
            self._tasks[name] = TaskTable(self._spark, name)
        return self._tasks[name]

    def _drained_into_others(self) -> ProcessedSegments | None:
        """Which segments tables took that the folder was drained into under other settings; None if one can't be read.

        Only segments that name no table can be among them.
        """
        processed = ProcessedSegments()
        for name in self._manifests.tables():
            if table_key(name) == table_key(self._table):
                continue
            try:
                if self._spark.catalog.tableExists(quoted(name)):
                    last = self._last_commit(name, _open_table(self._spark, name))
                    processed = processed.union(self._settle(name, last).processed)
            except OSError:
                raise
            except WRITE_ERRORS as error:
                folder = drain_dir(self._spool_dir) / name
                says = f"{name} has some of the spool's records that name no table, and can't be read; the others stay"
                warn_once(_log, folder, f"{says}: {first_line(error)}")
                return None
        return processed

    def _own_segments(self, name: str) -> list[tuple[Path, SegmentName]]:
        return [(path, each) for path, each in sealed_segments(self._spool_dir) if is_for(path, each, name)]

    def _next_segments(self, settled: Manifest) -> tuple[list[tuple[Path, SegmentName]], Manifest]:
        """Sealed segments of the table that are whole, as many as one commit takes; and what was taken before."""
        own, processed = self._own_segments(self._table), settled.processed
        if any(names_no_table(path, name) for path, name in own):
            others = self._drained_into_others()
            if others is None:
                own = [(path, name) for path, name in own if not names_no_table(path, name)]
            else:
                processed = processed.union(others)
        if not settled.complete:  # a copy may have come once more, and nothing but its rows can say so
            copies = [(path, name) for path, name in own if name.copied and name not in processed]
            processed = processed.adding(self._with_rows_in(self._table, copies))
        segments: list[tuple[Path, SegmentName]] = []
        rows, chosen = 0, set[tuple[str, int]]()
        for path, name in own:
            if name in processed:
                path.unlink(missing_ok=True)  # it has come once more
            elif (name.writer, name.place) in chosen:
                continue  # as a copy and moved: it has come once more when this is committed
            elif self._is_readable(path, name):
                rows += name.rows
                if segments and rows > _ROWS_A_COMMIT:
                    break
                segments.append((path, name))
                chosen.add((name.writer, name.place))
        return segments, replace(settled, processed=processed)

    def _is_readable(self, path: Path, name: SegmentName) -> bool:
        try:
            found = path.stat()
            if name.copied and found.st_size != name.size and time.time() - found.st_mtime < _LOST_AFTER_S:
                return False
            version = format_of(path)
        except FileNotFoundError:  # another drain was here
            return False
        except OSError as error:
            warn_once(_log, path, f"{path} can't be read ({error.strerror}): left where it is")
            return False
        if version is not None and version <= FORMAT_VERSION:
            return True
        says = f"{path} was written by a newer gateway_batch (format {version}): left where it is"
        warn_once(_log, path, says if version is not None else f"{path} is no segment: left where it is")
        return False

    def _commit(
        self,
        table: Table,
        segments: list[tuple[Path, SegmentName]],
        settled: Manifest,
        last: CommitId | None,
    ) -> int:
        # Where the table is another, or has forgotten the last commit, the manifests know that there was one.
        counter = last.counter if last else self._manifests.last_counter(self._table)
        commit_id, damage = CommitId.after(self._manifests.drain_id(), counter), list[Damage]()
        processed = settled.processed.adding(name for _, name in segments)
        taken = Manifest(tuple(path.name for path, _ in segments), processed, settled.complete)
        self._manifests.write(self._table, commit_id, taken)
        lines = (line for path, _ in segments for line in read_sealed(path, damage))
        with table_lock(table.local_folder):
            rows = table.append(self._batches(lines, damage), commit_id, last)
        for each in damage:
            kept = damaged_dir(self._spool_dir) / each.segment.name
            what = f"the file is kept in {kept.parent}" if is_file(kept) else "the file could not be kept"
            _log.warning("usage records were damaged on the disk: %s; %s", each, what)
        return rows

    def _batches(self, lines: Iterable[bytes], damage: list[Damage]) -> Iterator[pa.Table]:
        """The rows, a batch at a time; damaged files are kept before their rows are committed."""
        while batch := list(islice(lines, _ROWS_A_BATCH)):
            yield usage_rows(batch)
        for each in damage:
            keep_damaged(each.segment)


def _named(error: OSError) -> str:
    return f" ({error.filename})" if isinstance(error.filename, str) else ""


def _goes_to(segment: Path, table: str) -> bool:
    name = SegmentName.of(segment)
    return name is not None and is_for(segment, name, table)


def _opens(path: Path) -> bool:
    return os.access(path, os.R_OK)


def _open_table(spark: SparkSession, name: str) -> Table:
    if not is_classic(spark):
        return SparkDeltaWriter(spark, name)
    from gateway_batch.spark.ledger.driver_delta_writer import DriverDeltaWriter  # it needs py4j

    return DriverDeltaWriter(spark, name)
