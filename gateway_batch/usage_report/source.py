"""Reading a Delta table: deltalake knows which files it has, and DuckDB reads them.

Files of which Delta itself has more to say than their names (deletion vectors, column mapping, partitions), that are
not on this disk, or that lack a column, are read by deltalake, which takes longer. A table with a reader feature that
this was not tried with is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import Field, StructType

from gateway_batch.errors import ConfigError
from gateway_batch.usage_report.period import Period
from gateway_batch.usage_report.statements import COLUMNS, NO_PRICES, OF_KEYS, PRICE_COLUMNS, projection
from gateway_batch.usage_report.table_location import Place

_PLAIN_READER_VERSION, _MOST_READER_VERSION = 1, 3
_FEATURES = {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
_GLOB = set("*?[{")
_STATISTICS_MS = timedelta(milliseconds=1)  # Delta cuts times in its statistics to the millisecond

_READ_ERRORS = (DeltaError, duckdb.Error, OSError, ValueError)


def open_database() -> duckdb.DuckDBPyConnection:
    """A database in memory, in UTC, that fetches nothing from anywhere."""
    database = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET GLOBAL parquet_metadata_cache = true")  # each file is read more than once
    return database


def open_table(place: Place) -> DeltaTable:
    """The usage table's log.

    Raises:
        ConfigError: there is no such table, or it can't be read.
    """
    try:
        table = DeltaTable(place.location)
    except TableNotFoundError:
        where = f" in {Path(place.location).parent}" if place.is_named else ""
        raise ConfigError(f"no usage table {place.name}{where}: nothing was recorded there yet") from None
    except _READ_ERRORS as error:
        raise _unreadable(place.name, error) from error
    _check_features(table, place.name)
    return table


def last_transaction(place: Place, application: str) -> int | None:
    """The last transaction version of an application in a table's log; None without one, or without a table."""
    try:
        return DeltaTable(place.location).transaction_version(application)
    except _READ_ERRORS:
        return None


def make_records(
    database: duckdb.DuckDBPyConnection, table: DeltaTable, place: Place, columns: Sequence[str], period: Period
) -> None:
    """Makes the relation `records`: all rows of the period, and maybe others, with what a report reads of them.

    Args:
        database: where to.
        table: its log.
        place: where it is.
        columns: of `OF_KEYS`, to be read besides.
        period: files without rows of it may be left out.

    Raises:
        ConfigError: the table lacks a column, or can't be read.
    """
    names = [*COLUMNS, *columns]
    _check_columns(table, place.name, names)
    try:
        paths = _plain_files(table, place.location, period)
        if not paths or not _view_of_files(database, paths, names):
            _read_by_deltalake(database, table, "records", projection(names))
    except _READ_ERRORS as error:
        raise _unreadable(place.name, error) from error


def make_prices(database: duckdb.DuckDBPyConnection, location: str) -> bool:
    """Makes the relation `prices`, without rows where there is no such table; returns whether there is one.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        table = DeltaTable(location)
    except TableNotFoundError:
        database.execute(NO_PRICES)
        return False
    except _READ_ERRORS as error:
        raise _unreadable(f"of prices {location}", error) from error
    _check_features(table, f"of prices {location}")
    try:
        _read_by_deltalake(database, table, "prices", ", ".join(PRICE_COLUMNS))
    except _READ_ERRORS as error:
        raise _unreadable(f"of prices {location}", error) from error
    return True


def _unreadable(name: str, error: Exception) -> ConfigError:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return ConfigError(f"the table {name} can't be read: {first}")


def _check_features(table: DeltaTable, name: str) -> None:
    protocol = table.protocol()
    unknown = sorted(set(protocol.reader_features or ()) - _FEATURES)
    if protocol.min_reader_version > _MOST_READER_VERSION:
        unknown.append(f"reader version {protocol.min_reader_version}")
    if unknown:
        raise ConfigError(
            f"the table {name} needs {', '.join(unknown)} of whoever reads it, which this report can't; ask Spark, as "
            "with gateway-batch sql"
        )


def _check_columns(table: DeltaTable, name: str, names: Iterable[str]) -> None:
    has = set(_paths(table.schema().fields))
    wanted = {each: (COLUMNS | OF_KEYS)[each] for each in names}
    missing = [path for path in wanted.values() if path not in has]
    if missing == [wanted.get("error_kind")]:
        raise ConfigError(
            f"by error: {name} has no {missing[0]}: it is not a table of this package, and only that knows why calls "
            "failed; by status works"
        )
    if missing:
        raise ConfigError(f"{name} lacks columns of a usage table: {', '.join(missing)}")


def _paths(fields: Iterable[Field], before: str = "") -> Iterable[str]:
    """Each column, and each field inside, as a path."""
    for field in fields:
        yield f"{before}{field.name}"
        if isinstance(field.type, StructType):
            yield from _paths(field.type.fields, f"{before}{field.name}.")


def _plain_files(table: DeltaTable, location: str, period: Period) -> list[str]:
    """The table's files that may have rows of the period; none where they are not all that there is to know."""
    protocol = table.protocol()
    is_plain = protocol.min_reader_version == _PLAIN_READER_VERSION and not table.metadata().partition_columns
    if not is_plain or "://" in location or _GLOB & set(location):
        return []
    actions = table.get_add_actions(flatten=True)
    names = set(actions.schema.names)
    paths = [unquote(path) for path in actions["path"].to_pylist()]
    if any("://" in path or path.startswith(("/", "file:")) or _GLOB & set(path) for path in paths):
        return []
    columns: Mapping[str, Sequence[datetime | None]] = {
        name: list(actions[name].to_pylist()) if name in names else [None] * len(paths)
        for name in ("min.event_time", "max.event_time")
    }
    ranges = zip(paths, columns["min.event_time"], columns["max.event_time"], strict=True)
    return [f"{location}/{path}" for path, first, last in ranges if _may_be_in(period, first, last)]


def _may_be_in(period: Period, first: datetime | None, last: datetime | None) -> bool:
    if period.since and last and _utc(last) + _STATISTICS_MS < period.since:
        return False
    return not (period.until and first and _utc(first) >= period.until)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _view_of_files(database: duckdb.DuckDBPyConnection, paths: list[str], names: list[str]) -> bool:
    """Makes `records` of Parquet files; False where all of them are older than one of the columns."""
    database.read_parquet(paths, union_by_name=True).create_view("files")
    try:
        database.execute(f"CREATE VIEW records AS SELECT {projection(names)} FROM files")
    except duckdb.BinderException:
        return False
    return True


def _read_by_deltalake(database: duckdb.DuckDBPyConnection, table: DeltaTable, relation: str, columns: str) -> None:
    rows = QueryBuilder().register("source", table).execute(f"SELECT {columns} FROM source")
    database.register("rows", rows)
    database.execute(f"CREATE TABLE {relation} AS FROM rows")
    database.unregister("rows")
