"""Appends to a Delta table by Spark alone, in any kind of session and to any table that Spark can write."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlparse

import pyarrow as pa
from pyspark.sql import SparkSession

from gateway_batch.spark.usage_table import quoted

_COMMITS_BACK = 20


class Table(Protocol):
    """A usage table as the drain sees it."""

    @property
    def local_folder(self) -> Path | None:
        """Where the table lies on a local disk, None if it lies elsewhere."""

    def committed_version(self, app_id: str) -> int:
        """The last version committed under a transaction id, -1 if there is none or it can't be known."""

    def append(self, rows: pa.Table, app_id: str, version: int, scratch: Path) -> None:
        """Appends rows under a transaction id and version that the table doesn't have yet."""


class SparkTable:
    """A table that Spark writes.

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
        detail = self._spark.sql(f"DESCRIBE DETAIL {quoted(self._name)}").select("location").first()
        folder = None if detail is None else local_path(detail["location"])
        return folder if folder is not None and folder.is_dir() else None

    def committed_version(self, app_id: str) -> int:
        """The last version among the newest commits that `append` made under a transaction id, -1 if there is none.

        An older one is only not counted right: Delta ignores a commit of a version that it already has.
        """
        history = self._spark.sql(f"DESCRIBE HISTORY {quoted(self._name)} LIMIT {_COMMITS_BACK}")
        marks = [row["userMetadata"] or "" for row in history.select("userMetadata").collect()]
        versions = [mark.rpartition(":")[2] for mark in marks if mark.rpartition(":")[0] == app_id]
        return max((int(version) for version in versions), default=-1)

    def append(self, rows: pa.Table, app_id: str, version: int, scratch: Path) -> None:
        """Appends rows under a transaction id and version; if the table has them already, it adds nothing."""
        writer = self._spark.createDataFrame(rows).write.format("delta").mode("append")
        options = {"txnAppId": app_id, "txnVersion": str(version), "userMetadata": f"{app_id}:{version}"}
        writer.options(**options).saveAsTable(self._name)


def local_path(location: str) -> Path | None:
    """The path of a location on a local disk, None for one elsewhere."""
    parts = urlparse(location)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None
