"""Appends to a Delta table by Spark alone, in any kind of session and to any table that Spark can write."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import dropwhile
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyspark.sql import SparkSession

from gateway_batch.errors import GatewayBatchError
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage.manifests import CommitId

_COMMITS_BACK = (20, 400, 8_000, 160_000)
_DETAILS = "# Detailed Table Information"


class OvertakenError(GatewayBatchError):
    """Another drain of the same spool folder has committed first; nothing was appended."""


class Table(Protocol):
    """A table as the drain sees it."""

    @property
    def local_folder(self) -> Path | None:
        """Where the table lies on a local disk, None if it lies elsewhere."""

    def last_commit(self, drain: str) -> CommitId | None:
        """The last commit under a drain's id, None if there is none."""

    def append(self, batches: Iterable[pa.Table], commit_id: CommitId, after: CommitId | None) -> int:
        """Appends rows in one commit, if a drain's last one is still `after`.

        Args:
            batches: rows of the table's columns.
            commit_id: of this commit.
            after: the drain's last commit, as the caller knows it.

        Returns:
            How many rows.

        Raises:
            OvertakenError: the drain's last commit is another.
        """


class SparkDeltaWriter:
    """A table that Spark writes. A drain's commits are known by their ids in the table's history.

    Args:
        spark: a session of any kind that can write Delta.
        name: the table's name; it exists.
    """

    def __init__(self, spark: SparkSession, name: str) -> None:
        self._spark = spark
        self._name = name

    @property
    def local_folder(self) -> Path | None:
        """Where the table lies on a disk of this machine, None if it lies elsewhere."""
        # DESCRIBE DETAIL says it too, but reads the table's whole state for that.
        described = self._spark.sql(f"DESCRIBE TABLE EXTENDED {quoted(self._name)}").collect()
        details = dropwhile(lambda row: row["col_name"] != _DETAILS, described)
        location = next((row["data_type"] for row in details if row["col_name"] == "Location"), None)
        folder = None if location is None else local_path(location)
        return folder if folder is not None and folder.is_dir() else None

    def last_commit(self, drain: str) -> CommitId | None:
        """The last commit under a drain's id, None if the history has none."""
        for most in _COMMITS_BACK:
            history = self._spark.sql(f"DESCRIBE HISTORY {quoted(self._name)} LIMIT {most}")
            commits = history.select("userMetadata").collect()
            commit_ids = (CommitId.of_text(row["userMetadata"] or "") for row in commits)
            found = [commit_id for commit_id in commit_ids if commit_id is not None and commit_id.drain == drain]
            if found or len(commits) < most:
                return max(found, key=lambda commit_id: commit_id.counter, default=None)
        return None

    def append(self, batches: Iterable[pa.Table], commit_id: CommitId, after: CommitId | None) -> int:
        """As `Table.append`. Of drains that are no longer ordered by a lock, Delta lets one write a counter."""
        found = list(batches)
        spark = self._spark
        rows = spark.createDataFrame(pa.concat_tables(found)) if found else spark.table(quoted(self._name)).limit(0)
        if self._last(commit_id.drain, after) != after:
            raise OvertakenError
        writer = rows.write.format("delta").mode("append")
        version = CommitId(commit_id.drain, commit_id.counter, 0).version  # the same for all that try the counter
        options = {"txnAppId": commit_id.drain, "txnVersion": str(version), "userMetadata": commit_id.text}
        writer.options(**options).saveAsTable(quoted(self._name))
        if self._last(commit_id.drain, commit_id) != commit_id:
            raise OvertakenError
        return sum(batch.num_rows for batch in found)

    def _last(self, drain: str, expected: CommitId | None) -> CommitId | None:
        return self.last_commit(drain) if expected is not None else None


def local_path(location: str) -> Path | None:
    """The path of a location on a local disk, None for one elsewhere."""
    parts = urlparse(location)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None
