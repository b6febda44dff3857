"""From the spool to the usage table: each sealed segment's rows are appended exactly once.

A drain names the segments it takes in a manifest, appends their rows in one Delta commit under the spool's own
transaction id and the manifest's version, and only then deletes the segments and the manifest. A drain that dies
anywhere is taken up by the next one from the manifest; Delta ignores a commit of a version that it already has.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import orjson
from py4j.java_gateway import JavaObject
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import LedgerError
from gateway_batch.spark.jvm import gateway_of
from gateway_batch.spark.usage_table import create_usage_table, record_type
from gateway_batch.usage.adoption import adopt_dead_writers
from gateway_batch.usage.segment import Kind
from gateway_batch.usage.spool import prepare, sealed_dir

_in_this_process = threading.Lock()


class UsageDrain:
    """Drains one spool folder into one usage table.

    Args:
        spark: a session that can write Delta.
        spool_dir: the spool folder; any number of drains, in any processes of this host, may share it.
        table: the usage table's name; made if missing.
    """

    def __init__(self, spark: SparkSession, spool_dir: Path, table: str) -> None:
        prepare(spool_dir)
        self._spark = spark
        self._spool_dir = spool_dir
        self._table = table
        self._manifest = spool_dir / "drain" / "manifest.json"
        self._done = spool_dir / "drain" / "done.json"
        self._table_made = False

    def flush(self) -> int:
        """Commits all sealed records, those of dead workers included.

        Returns:
            Rows newly committed to the table.

        Raises:
            LedgerError: the table can't be made or written. The records stay in the spool.
        """
        with _in_this_process, _locked(self._spool_dir / "drain" / "lock"):
            adopt_dead_writers(self._spool_dir)
            committed = self._commit() if self._manifest.exists() else 0
            segments = sorted(path.name for path in sealed_dir(self._spool_dir).glob("*.log"))
            if not segments:
                self._make_table()
                return committed
            self._write_manifest(segments)
            return committed + self._commit()

    def _make_table(self) -> None:
        """So that the table is there to be read, even before its first row."""
        if not self._table_made:
            create_usage_table(self._spark, self._table)
            self._table_made = True

    def _write_manifest(self, segments: list[str]) -> None:
        state = self._state()
        _write_json(self._done, state)  # the spool's id must outlive this commit
        _write_json(
            self._manifest,
            {**state, "version": state["version"] + 1, "table": self._table, "segments": segments},
        )

    def _state(self) -> dict[str, Any]:
        if self._done.exists():
            state: dict[str, Any] = orjson.loads(self._done.read_bytes())
            return state
        return {"app_id": f"gateway_batch-{secrets.token_hex(8)}", "version": 0}

    def _commit(self) -> int:
        manifest = orjson.loads(self._manifest.read_bytes())
        app_id, version, table = manifest["app_id"], manifest["version"], manifest["table"]
        paths = [sealed_dir(self._spool_dir) / name for name in manifest["segments"]]
        rows = sum(int(name.rsplit(".", 2)[1]) for name in manifest["segments"])
        try:
            create_usage_table(self._spark, table)
            with _table_lock(self._spark, table):
                new = _transaction_version(self._spark, table, app_id) < version
                if new:
                    self._append(paths, table, app_id, version)
        except AnalysisException as error:
            raise LedgerError(
                f"the usage table {table} can't be written: {str(error).splitlines()[0]} "
                f"The records are safe in {self._spool_dir}."
            ) from error
        for path in paths:
            path.unlink(missing_ok=True)
        _write_json(self._done, {"app_id": app_id, "version": version})
        self._manifest.unlink()
        return rows if new else 0

    def _append(self, paths: list[Path], table: str, app_id: str, version: int) -> None:
        frame = read_segments(self._spark, paths)
        writer = frame.write.format("delta").mode("append").option("txnAppId", app_id).option("txnVersion", version)
        writer.saveAsTable(table)


def read_segments(spark: SparkSession, paths: list[Path]) -> DataFrame:
    """The outcomes in sealed segments as rows of the usage table; damaged lines are passed over."""
    lines = spark.read.text([path.as_uri() for path in paths])
    body = F.substring("value", 10, 1 << 30)
    whole = (F.length("value") > 12) & (
        F.lower(F.substring("value", 1, 8)) == F.lpad(F.lower(F.hex(F.crc32(body))), 8, "0")
    )
    record = F.from_json(F.substring(body, 3, 1 << 30), record_type(spark))
    is_outcome = F.substring(body, 1, 2) == f"{Kind.OUTCOME} "
    return lines.where(whole & is_outcome).select(record.alias("record")).select("record.*")


def _write_json(path: Path, value: object) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_bytes(orjson.dumps(value))
    partial.rename(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file's lock, which the system lets go with the process."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _table_lock(spark: SparkSession, table: str) -> Iterator[None]:
    """Delta's log store for local disks orders the writers of one JVM only, so this orders the others."""
    location = urlparse(_delta_log(spark, table).dataPath().toString())
    if location.scheme not in ("", "file"):
        yield
        return
    with _locked(Path(unquote(location.path)) / "_gateway_batch.lock"):
        yield


def _transaction_version(spark: SparkSession, table: str, app_id: str) -> int:
    """The last version committed to the table under a transaction id, -1 if there is none."""
    nothing = gateway_of(spark).jvm.scala.Option.empty()
    version = _delta_log(spark, table).update(False, nothing, nothing).transactions().get(app_id)
    return int(version.get()) if version.isDefined() else -1


def _delta_log(spark: SparkSession, table: str) -> JavaObject:
    identifier = spark._jsparkSession.sessionState().sqlParser().parseTableIdentifier(table)
    return gateway_of(spark).jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, identifier)
