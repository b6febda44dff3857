"""Appends to a Delta table by the driver alone: no Spark job, so rows land while a query keeps every core busy.

The driver writes one Parquet file into the table's folder and commits it through Delta's own transaction. What Delta
would do to the rows on their way (constraints, column mapping, partitions, ...) it can't do here, so a table must be
plain; other tables' rows go by a Spark write.
"""

from __future__ import annotations

import time
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

from gateway_batch.spark.jvm import gateway_of
from gateway_batch.spark.table_append import SparkTable, local_path
from gateway_batch.spark.usage_table import record_type
from gateway_batch.usage.record import UsageRecord

_PLAIN_WRITER_VERSION = 2
_PLAIN_PROPERTIES = {"delta.checkpointInterval", "delta.appendOnly", "delta.parquet.compression.codec"}
_PLAIN_PROPERTY_SUFFIX = "RetentionDuration"


class UsageTable:
    """The Delta side of the usage table, or of another one that is made of a record.

    Args:
        spark: a session that can write Delta.
        name: the table's name; it exists.
        row: the record.
        time: the column that files are told apart by.
    """

    def __init__(self, spark: SparkSession, name: str, row: type = UsageRecord, time: str = "event_time") -> None:
        self._spark = spark
        self._row = row
        self._time = time
        self._jvm = gateway_of(spark).jvm
        self._identifier = spark._jsparkSession.sessionState().sqlParser().parseTableIdentifier(name)
        self._log: Any = self._find_log()
        self._by_spark = SparkTable(spark, name)

    @property
    def local_folder(self) -> Path | None:
        """Where the table lies on a local disk, None if it lies elsewhere."""
        return self._by_spark.local_folder if self._log is None else local_path(self._log.dataPath().toString())

    def committed_version(self, app_id: str) -> int:
        """The last version committed under a transaction id, -1 if there is none or it can't be known.

        Read from the checksum file of the newest commit, which lists all transaction ids while they are few; else from
        the reconstructed state, which takes a Spark job.
        """
        if self._log is None:
            return self._by_spark.committed_version(app_id)
        snapshot = self._snapshot()
        checksum = snapshot.checksumOpt()
        if checksum.isDefined() and checksum.get().setTransactions().isDefined():
            known = self._as_java(checksum.get().setTransactions().get())
            return max((int(known_id.version()) for known_id in known if known_id.appId() == app_id), default=-1)
        version = snapshot.transactions().get(app_id)
        return int(version.get()) if version.isDefined() else -1

    def append(self, rows: pa.Table, app_id: str, version: int, scratch: Path) -> None:
        """Appends rows under a transaction id and version that the table doesn't have yet.

        If it has them all the same, a Spark write adds nothing.

        Args:
            rows: of the table's columns.
            app_id: the transaction id; versions under one id only grow.
            version: names the file too, so that a repeated try writes over the one before.
            scratch: a folder on a local disk.
        """
        if self._log is not None and self._takes_plain_files(self._snapshot()):
            self._append_file(rows, app_id, version, scratch)
            self._checkpoint_when_idle()
        else:
            self._by_spark.append(rows, app_id, version, scratch)

    def _find_log(self) -> JavaObject | None:
        """Delta's log of the table; None on Databricks, whose Delta has other classes."""
        try:
            find = self._jvm.org.apache.spark.sql.delta.DeltaLog.forTable
            return find(self._spark._jsparkSession, self._identifier)
        except TypeError:
            return None

    def _snapshot(self) -> JavaObject:
        return self._log.update(False, self._nothing(), self._nothing())

    def _takes_plain_files(self, snapshot: JavaObject) -> bool:
        """Whether a Parquet file with just the rows' columns is all that an append to the table needs."""
        metadata = snapshot.metadata()
        properties = set(self._as_java(metadata.configuration()))
        return bool(
            snapshot.protocol().minWriterVersion() <= _PLAIN_WRITER_VERSION
            and metadata.partitionColumns().isEmpty()
            and all(name in _PLAIN_PROPERTIES or name.endswith(_PLAIN_PROPERTY_SUFFIX) for name in properties)
            and self._has_our_columns(metadata.schemaString())
        )

    def _has_our_columns(self, schema: str) -> bool:
        """By names and types: comments make no difference."""
        return _parse_datatype_json_string(schema).simpleString() == record_type(self._spark, self._row).simpleString()

    def _append_file(self, rows: pa.Table, app_id: str, version: int, scratch: Path) -> None:
        parquet = scratch / f"{app_id}-{version}.parquet"
        pq.write_table(rows, parquet, compression="snappy")
        size, now = parquet.stat().st_size, int(time.time() * 1000)
        path = self._jvm.org.apache.hadoop.fs.Path
        target = path(self._log.dataPath(), parquet.name)
        files = self._log.dataPath().getFileSystem(self._log.newDeltaHadoopConf())
        files.copyFromLocalFile(True, True, path(parquet.as_uri()), target)
        transaction = {"appId": app_id, "version": version, "lastUpdated": now}
        file = {
            "path": parquet.name,
            "partitionValues": {},
            "size": size,
            "modificationTime": now,
            "dataChange": True,
            "stats": statistics(rows, self._time),
        }
        self._commit({"txn": transaction}, {"add": file})

    def _commit(self, *actions: dict[str, object]) -> None:
        delta = self._jvm.org.apache.spark.sql.delta
        listed = self._jvm.java.util.ArrayList()
        for action in actions:
            listed.add(delta.actions.Action.fromJson(orjson.dumps(action).decode()))
        append_mode = self._jvm.org.apache.spark.sql.SaveMode.Append
        operation = getattr(delta, "DeltaOperations$Write")(append_mode, *[self._nothing()] * 8)
        transaction = self._log.startTransaction(self._catalog_entry(), self._nothing())
        checkpoint_hook = getattr(getattr(delta.hooks, "CheckpointHook$"), "MODULE$")
        transaction.postCommitHooks().subtractOne(checkpoint_hook)  # a checkpoint is a Spark job
        transaction.commit(self._jvm.scala.jdk.javaapi.CollectionConverters.asScala(listed).toSeq(), operation)

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
        return self._jvm.scala.Option.apply(catalog.getTableMetadata(self._identifier))

    def _nothing(self) -> JavaObject:
        return self._jvm.scala.Option.empty()

    def _as_java(self, collection: JavaObject) -> Any:
        return self._jvm.scala.jdk.javaapi.CollectionConverters.asJava(collection)


def statistics(rows: pa.Table, time: str = "event_time") -> str:
    """A file's statistics as Delta's JSON: the number of rows, and the range of a time to the millisecond."""
    counted: dict[str, Any] = {"numRecords": rows.num_rows}
    times = pc.min_max(rows[time]).as_py()
    if times["min"] is not None:
        counted["minValues"] = {time: _milliseconds(times["min"])}
        counted["maxValues"] = {time: _milliseconds(times["max"] + timedelta(microseconds=999))}
        counted["nullCount"] = {time: rows[time].null_count}
    return orjson.dumps(counted).decode()


def _milliseconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
