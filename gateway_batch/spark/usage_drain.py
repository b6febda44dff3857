"""From the spool to the usage table: each sealed segment's rows are appended exactly once.

A drain names the segments it takes in a manifest, appends their rows in one Delta commit under the spool's own
transaction id and the manifest's version, and only then deletes the segments and the manifest. A drain that dies
anywhere is taken up by the next one from the manifest; Delta ignores a commit of a version that it already has.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from pyspark.sql import SparkSession

from gateway_batch.errors import LedgerError
from gateway_batch.locks import locked
from gateway_batch.spark.messages import first_line
from gateway_batch.spark.session_kind import WRITE_ERRORS, is_classic
from gateway_batch.spark.table_append import SparkTable, Table
from gateway_batch.spark.table_lock import table_lock
from gateway_batch.spark.usage_table import add_missing_columns, create_usage_table
from gateway_batch.usage.adoption import adopt_dead_writers
from gateway_batch.usage.arrow import usage_rows
from gateway_batch.usage.sealed import Damage, read_sealed
from gateway_batch.usage.spool import damaged_dir, prepare, rows_of_name, sealed_dir

_ROWS_A_COMMIT = 100_000

_in_this_process = threading.Lock()
_log = logging.getLogger(__name__)


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
        self._made: set[str] = set()

    def flush(self) -> int:
        """Commits all sealed records, those of dead workers included.

        Returns:
            Rows newly committed to the table.

        Raises:
            LedgerError: the table can't be made or written. The records stay in the spool.
        """
        with _in_this_process, locked(self._spool_dir / "drain" / "lock"):
            adopt_dead_writers(self._spool_dir)
            committed = self._commit() if self._manifest.exists() else 0
            while segments := self._next_segments():
                self._write_manifest(segments)
                committed += self._commit()
            if not self._made:  # so that the table is there to be read, even before its first row
                self._make(self._table)
            return committed

    def _make(self, table: str) -> None:
        create_usage_table(self._spark, table)
        if table not in self._made:
            add_missing_columns(self._spark, table)
            self._made.add(table)

    def _next_segments(self) -> list[str]:
        """Names of sealed segments, as many as one commit takes: the driver holds their rows in memory."""
        names: list[str] = []
        rows = 0
        for path in sorted(sealed_dir(self._spool_dir).glob("*.log")):
            rows += rows_of_name(path.name)
            if names and rows > _ROWS_A_COMMIT:
                break
            names.append(path.name)
        return names

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
        damage: list[Damage] = []
        lines = (line for path in paths if path.exists() for line in read_sealed(path, damage))
        try:
            self._make(table)
            target = _open_table(self._spark, table)
            with table_lock(target.local_folder):
                rows = self._append(lines, target, app_id, version)
        except WRITE_ERRORS as error:
            raise LedgerError(
                f"the usage table {table} can't be written: {first_line(error)} "
                f"The records are safe in {self._spool_dir}."
            ) from error
        self._keep_damaged(damage)
        for path in paths:
            path.unlink(missing_ok=True)
        _write_json(self._done, {"app_id": app_id, "version": version})
        self._manifest.unlink()
        return rows

    def _append(self, lines: Iterable[bytes], target: Table, app_id: str, version: int) -> int:
        rows = usage_rows(lines)
        if target.committed_version(app_id) >= version:
            return 0
        target.append(rows, app_id, version, scratch=self._spool_dir / "drain")
        return int(rows.num_rows)

    def _keep_damaged(self, damage: list[Damage]) -> None:
        for each in damage:
            kept = damaged_dir(self._spool_dir)
            _log.warning("usage records were damaged on the disk: %s; the file is kept in %s", each, kept)
            kept.mkdir(mode=0o700, exist_ok=True)
            each.segment.rename(kept / each.segment.name)


def _open_table(spark: SparkSession, name: str) -> Table:
    if not is_classic(spark):
        return SparkTable(spark, name)
    from gateway_batch.spark.delta_append import UsageTable  # it needs py4j

    return UsageTable(spark, name)


def _write_json(path: Path, value: object) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_bytes(orjson.dumps(value))
    partial.rename(path)
