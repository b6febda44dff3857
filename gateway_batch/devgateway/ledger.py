"""The gateway's own usage table: a SQLite file, one committed row per request to a model route."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from gateway_batch.errors import ConfigError
from gateway_batch.usage.record import MIRRORED_COLUMNS, UsageRecord, columns

TABLE = "usage"
KEY_COLUMN = "client_request_id"
_INTEGERS = {"INT", "BIGINT", "BOOLEAN"}
_COLUMNS = (*MIRRORED_COLUMNS, KEY_COLUMN)


def table_ddl() -> str:
    """The table's statement: the usage table's mirrored columns, then the caller's id of the request.

    Structs and maps are JSON text, times are ISO 8601 in UTC.
    """
    types = {name: "INTEGER" if sql_type in _INTEGERS else "TEXT" for name, sql_type in columns(UsageRecord)}
    lines = (f"  {name} {types[name]}" for name in MIRRORED_COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {TABLE} (\n" + ",\n".join(lines) + f",\n  {KEY_COLUMN} TEXT\n)"


def row_values(record: UsageRecord, client_request_id: str | None) -> tuple[str | int | None, ...]:
    """One row in the table's order."""
    return (*(_plain(getattr(record, name)) for name in MIRRORED_COLUMNS), client_request_id)


def _plain(value: Any) -> str | int | None:
    match value:
        case None | str() | int():
            return value
        case datetime():
            return value.isoformat(timespec="microseconds")
    return orjson.dumps(value).decode()


class Ledger:
    """The open file.

    A row is committed when `write` returns, so it outlives a kill of the process. It is not forced to the disk
    (`synchronous = OFF`): a loss of power may cost the latest rows. A commit costs about 0.03 ms that way, less
    than handing the row to another thread would.

    Raises:
        ConfigError: the file can't be opened, or holds another table of that name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._prepare()
        except sqlite3.Error as error:
            raise ConfigError(f"cannot keep the usage ledger in {path}: {error}") from error
        self._insert = f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(_COLUMNS))})"

    def _prepare(self) -> None:
        try:
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", table_ddl()):
                self._connection.execute(statement)
            found = tuple(self._found_columns())
        except sqlite3.Error:
            self._connection.close()
            raise
        if found != _COLUMNS:
            self._connection.close()
            raise ConfigError(f"cannot keep the usage ledger in {self.path}: its table {TABLE} is another one")

    def _found_columns(self) -> Iterator[str]:
        return (name for _, name, *_ in self._connection.execute(f"PRAGMA table_info({TABLE})"))

    def write(self, record: UsageRecord, client_request_id: str | None) -> None:
        """Adds a row and commits it."""
        self._connection.execute(self._insert, row_values(record, client_request_id))

    def close(self) -> None:
        """Folds the write-ahead log into the file and closes it."""
        self._connection.close()
