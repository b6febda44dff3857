"""Appends to a Delta table by the driver alone: no Spark job, so rows land while a query keeps every core busy.

The driver writes one Parquet file into the table's folder and commits it through Delta's own transaction. What Delta
would do to the rows on their way (constraints, column mapping, partitions, ...) it can't do here, so a table must be
plain; other tables' rows go by a Spark write.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession
from pyspark.sql.types import _parse_datatype_json_string

from gateway_batch.spark.delta_tables.spark_writer import OvertakenError, SparkDeltaWriter, local_path
from gateway_batch.spark.ledger.usage_table import record_type
from gateway_batch.spark.session.jvm import jvm_of
from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage.arrow import schema_of
from gateway_batch.usage.manifests import CommitId
from gateway_batch.usage.record import UsageRecord

_DELTA = "org.apache.spark.sql.delta"

_PLAIN_WRITER_VERSION = 2
_PLAIN_PROPERTIES = {"delta.checkpointInterval", "delta.appendOnly", "delta.parquet.compression.codec"}
_PLAIN_PROPERTY_SUFFIX = "RetentionDuration"
_FURTHER_OF_A_WRITE = 5

_SESSION_CATALOG = "spark_catalog"


class DriverDeltaWriter:
    """The Delta side of the usage table, or of another one that is made of a record.

    Args:
        spark: a session that can write Delta.
        name: the table's name; it exists.
        row: the record.
        time: the column by which readers skip files.
    """

    def __init__(self, spark: SparkSession, name: str, row: type = UsageRecord, time: str = "event_time") -> None:
        self._spark = spark
        self._row = row
        self._time = time
        self._jvm = jvm_of(spark)
        self._identifier = self._parsed(name)
        self._log: Any = self._find_log()
        self._by_spark = SparkDeltaWriter(spark, name)

    @property
    def local_folder(self) -> Path | None:
        """Where the table lies on a local disk, None if it lies elsewhere."""
        return self._by_spark.local_folder if self._log is None else local_path(self._log.dataPath().toString())

    def last_commit(self, drain: str) -> CommitId | None:
        """The last commit under a drain's id, None if there is none.

        Read from the checksum file of the newest commit, which lists all transaction ids while they are few; else from
        the reconstructed state, which takes a Spark job.
        """
        return self._by_spark.last_commit(drain) if self._log is None else self._last_in(self._snapshot(), drain)

    def append(self, batches: Iterable[pa.Table], commit_id: CommitId, after: CommitId | None) -> int:
        """As `Table.append`; the rows are held a batch at a time."""
        if self._log is None or not self._takes_plain_files(self._snapshot()):
            return self._by_spark.append(batches, commit_id, after)
        with tempfile.TemporaryDirectory(prefix="gateway_batch-") as scratch:
            path = Path(scratch) / f"{commit_id.drain}-{commit_id.counter}-{commit_id.nonce}.parquet"
            file = write_file(batches, schema_of(self._row), path, self._time)
            self._commit_file(file, commit_id, after)
        self._checkpoint_when_idle()
        return file.rows

    def _last_in(self, snapshot: JavaObject, drain: str) -> CommitId | None:
        version = self._transaction_version(snapshot, drain)
        if version is None:
            return None
        commit_id = CommitId.of_version(drain, version)
        return commit_id if commit_id.nonce else self._by_spark.last_commit(drain)  # Spark wrote it

    def _transaction_version(self, snapshot: JavaObject, drain: str) -> int | None:
        checksum = snapshot.checksumOpt()
        if checksum.isDefined() and checksum.get().setTransactions().isDefined():
            known = self._jvm.as_java(checksum.get().setTransactions().get())
            return next((int(each.version()) for each in known if each.appId() == drain), None)
        version = snapshot.transactions().get(drain)
        return int(version.get()) if version.isDefined() else None

    def _parsed(self, name: str) -> JavaObject | None:
        """The name as Spark's own catalog has it, which knows no name of three parts; None for another catalog's."""
        parts = name.split(".")
        if len(parts) > 2 and parts[0].lower() != _SESSION_CATALOG:
            return None
        return self._spark._jsparkSession.sessionState().sqlParser().parseTableIdentifier(quoted(".".join(parts[-2:])))

    def _find_log(self) -> JavaObject | None:
        """Delta's log of the table; None in a catalog other than Spark's own, and on Databricks, with other classes."""
        if self._identifier is None:
            return None
        try:
            find = self._jvm.java_class(f"{_DELTA}.DeltaLog").forTable
            return find(self._spark._jsparkSession, self._identifier)
        except TypeError:
            return None

    def _snapshot(self) -> JavaObject:
        return self._log.update(False, self._jvm.option(None), self._jvm.option(None))

    def _takes_plain_files(self, snapshot: JavaObject) -> bool:
        """Whether a Parquet file with just the rows' columns is all that an append to the table needs."""
        metadata = snapshot.metadata()
        properties = set(self._jvm.as_java(metadata.configuration()))
        return bool(
            snapshot.protocol().minWriterVersion() <= _PLAIN_WRITER_VERSION
            and metadata.partitionColumns().isEmpty()
            and all(name in _PLAIN_PROPERTIES or name.endswith(_PLAIN_PROPERTY_SUFFIX) for name in properties)
            and self._has_our_columns(metadata.schemaString())
        )

    def _has_our_columns(self, schema: str) -> bool:
        """By names and types: comments make no difference."""
        return _parse_datatype_json_string(schema).simpleString() == record_type(self._spark, self._row).simpleString()

    def _commit_file(self, file: DataFile, commit_id: CommitId, after: CommitId | None) -> None:
        now = int(time.time() * 1000)
        actions = [{"txn": {"appId": commit_id.drain, "version": commit_id.version, "lastUpdated": now}}]
        transaction = self._log.startTransaction(self._catalog_entry(), self._jvm.option(None))
        if self._last_in(transaction.snapshot(), commit_id.drain) != after:
            raise OvertakenError
        getattr(transaction.readTxn(), "$plus$eq")(commit_id.drain)  # so that Delta refuses the later of two at once
        if file.rows:
            size = file.path.stat().st_size
            self._put_into_table(file.path)
            added = {"path": file.path.name, "partitionValues": {}, "size": size, "modificationTime": now}
            actions.append({"add": {**added, "dataChange": True, "stats": file.statistics}})
        try:
            self._commit(transaction, actions, commit_id)
        except WRITE_ERRORS as error:
            if "ConcurrentTransaction" in str(error) or "DELTA_CONCURRENT_TRANSACTION" in str(error):
                raise OvertakenError from error
            raise

    def _put_into_table(self, file: Path) -> None:
        path = self._jvm.java_class("org.apache.hadoop.fs.Path")
        files = self._log.dataPath().getFileSystem(self._log.newDeltaHadoopConf())
        files.copyFromLocalFile(True, True, path(file.as_uri()), path(self._log.dataPath(), file.name))

    def _commit(self, transaction: JavaObject, actions: list[dict[str, Any]], commit_id: CommitId) -> None:
        java_class, nothing = self._jvm.java_class, self._jvm.option(None)
        parsed = java_class(f"{_DELTA}.actions.Action").fromJson
        append_mode = java_class("org.apache.spark.sql.SaveMode").Append
        operation = java_class(f"{_DELTA}.DeltaOperations$Write")(
            append_mode, nothing, nothing, self._jvm.option(commit_id.text), *[nothing] * _FURTHER_OF_A_WRITE
        )
        checkpoint_hook = self._jvm.scala_object(f"{_DELTA}.hooks.CheckpointHook")
        transaction.postCommitHooks().subtractOne(checkpoint_hook)  # a checkpoint is a Spark job
        transaction.commit(self._jvm.sequence(parsed(orjson.dumps(action).decode()) for action in actions), operation)

    def _checkpoint_when_idle(self) -> None:
        """What Delta's checkpoint hook would have done, left for the next time while a query is running."""
        if self._spark.sparkContext.statusTracker().getActiveStageIds():
            return
        snapshot = self._snapshot()
        behind = snapshot.version() - max(0, snapshot.checkpointProvider().version())
        if behind >= self._log.checkpointInterval(snapshot.metadata()):
            self._log.checkpoint(snapshot, self._catalog_entry())

    def _catalog_entry(self) -> JavaObject:
        catalog = self._spark._jsparkSession.sessionState().catalog()
        return self._jvm.option(catalog.getTableMetadata(self._identifier))


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of rows.

    Attributes:
        rows: how many.
        statistics: as Delta's JSON: the number of rows, and the range of a time to the millisecond.
    """

    path: Path
    rows: int
    statistics: str


def write_file(batches: Iterable[pa.Table], schema: pa.Schema, path: Path, time: str = "event_time") -> DataFile:
    """Writes rows to a file, a batch at a time; `time` is the column whose range is recorded."""
    rows = unknown_times = 0
    first: datetime | None = None
    last: datetime | None = None
    written: Future[None] | None = None
    with pq.ParquetWriter(path, schema, compression="snappy") as writer, ThreadPoolExecutor(1) as thread:
        for batch in batches:  # the next one is read while this one is written
            if written is not None:
                written.result()
            written = thread.submit(writer.write_table, batch)
            rows += batch.num_rows
            unknown_times += batch[time].null_count
            times = pc.min_max(batch[time]).as_py()
            if times["min"] is not None:
                first = times["min"] if first is None else min(first, times["min"])
                last = times["max"] if last is None else max(last, times["max"])
        if written is not None:
            written.result()
    counted: dict[str, Any] = {"numRecords": rows}
    if first is not None and last is not None:
        counted["minValues"] = {time: _milliseconds(first)}
        counted["maxValues"] = {time: _milliseconds(last + timedelta(microseconds=999))}
        counted["nullCount"] = {time: unknown_times}
    return DataFile(path, rows, orjson.dumps(counted).decode())


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
