"""Other clients' requests, from a gateway's own record into the usage table: each once, and never one of ours."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.apis.replies import kind_of_status
from gateway_batch.errors import ConfigError, LedgerError
from gateway_batch.spark.gateway_ledger import Ledger, read_ledger
from gateway_batch.spark.messages import first_line
from gateway_batch.spark.session_kind import WRITE_ERRORS
from gateway_batch.spark.table_append import SparkTable
from gateway_batch.spark.table_lock import table_lock
from gateway_batch.spark.usage_table import add_missing_columns, create_usage_table, quoted
from gateway_batch.usage.record import SCHEMA_VERSION, ClientMetadata, UsageRecord, columns
from gateway_batch.version import AGENT

IMPORTED = "imported"
"""The outcome of a row that came from a gateway's own record."""

_KEY = ("request_id", "invocation_id")
_NEEDED = (*_KEY, "user_agent")
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0)

_log = logging.getLogger(__name__)


def import_ledger(spark: SparkSession, table: str, ledger: Ledger, where: str | None = None) -> int:
    """See `Usage.import_ledger`, which this is behind; what is in the spool has been flushed."""
    create_usage_table(spark, table)
    add_missing_columns(spark, table)
    theirs = read_ledger(spark, ledger)
    if missing := [name for name in _NEEDED if name not in theirs.columns]:
        raise ConfigError(
            f"ledger: it lacks {', '.join(missing)}: an import goes by request_id and invocation_id, together a "
            "request's key, and tells by user_agent which requests are our own"
        )
    if where is not None:
        theirs = theirs.where(where)
    view = f"gateway_batch_import_{secrets.token_hex(8)}"
    _others(theirs, spark.table(table)).select(*_columns(theirs)).createOrReplaceTempView(view)
    try:
        with table_lock(SparkTable(spark, table).local_folder):
            return _merge(spark, table, view)
    except WRITE_ERRORS as error:
        raise LedgerError(f"the usage table {table} can't be written: {first_line(error)}") from error
    finally:
        spark.catalog.dropTempView(view)


def imported_key() -> Column:
    """The event id of an imported row, from its own columns `request_id` and `invocation_id`."""
    return F.concat_ws(":", F.lit(IMPORTED), *_KEY)


def _others(theirs: DataFrame, table: DataFrame) -> DataFrame:
    """Their rows that are not ours, one for each key.

    A request of ours that our table lacks is known by its user agent: imported, a lost record would not be seen.
    """
    is_ours = F.coalesce(F.col("user_agent").startswith(AGENT), F.lit(False))
    found = theirs.where("request_id IS NOT NULL").where(~is_ours).dropDuplicates(list(_KEY))
    ours = table.where(f"NOT client_metadata.outcome <=> '{IMPORTED}'")
    for theirs_name, ours_name in (
        ("client_request_id", "client_metadata.event_id"),
        ("request_id", "request_id"),
        ("invocation_id", "invocation_id"),
    ):
        if theirs_name in found.columns:
            known = ours.select(F.col(ours_name).alias("known")).where("known IS NOT NULL")
            found = found.join(known, found[theirs_name] == known["known"], "left_anti")
    return found


def _columns(theirs: DataFrame) -> Iterator[Column]:
    """The usage table's columns of their rows."""
    for name, sql_type in columns(UsageRecord):
        if name == "client_metadata":
            yield _client_metadata(theirs).alias(name)
        elif name == "schema_version":
            own = F.col(name) if name in theirs.columns else F.lit(None)
            yield F.coalesce(own, F.lit(SCHEMA_VERSION)).cast(sql_type).alias(name)
        else:
            yield (F.col(name) if name in theirs.columns else F.lit(None).cast(sql_type)).alias(name)


def _client_metadata(theirs: DataFrame) -> Column:
    known = {"event_id": imported_key(), "outcome": F.lit(IMPORTED)}
    if "status_code" in theirs.columns:
        known["error_kind"] = _error_kind(F.col("status_code"))
    if "total_tokens" in theirs.columns:
        known["token_source"] = F.when(F.col("total_tokens").isNotNull(), "gateway")
    fields = columns(ClientMetadata)
    return F.struct(*(known.get(name, F.lit(None)).cast(sql_type).alias(name) for name, sql_type in fields))


def _error_kind(status: Column) -> Column:
    """By the status alone: theirs is no record of what the body said."""
    usual, server = kind_of_status(400), kind_of_status(500)
    found = F.when(status >= 500, server.value)
    for code in range(400, 500):
        if (kind := kind_of_status(code)) is not usual:
            found = found.when(status == code, kind.value)
    return found.when(status >= 400, usual.value)


def _merge(spark: SparkSession, table: str, view: str) -> int:
    """Adds the rows whose key the table lacks. Where other hosts write too, a commit may have to be tried again."""
    names = [name for name, _ in columns(UsageRecord)]
    statement = (
        f"MERGE INTO {quoted(table)} AS ours USING {view} AS theirs "
        "ON ours.request_id = theirs.request_id AND ours.invocation_id <=> theirs.invocation_id "
        f"AND ours.client_metadata.outcome = '{IMPORTED}' "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'theirs.{name}' for name in names)})"
    )
    for pause_s in _PAUSES_S:
        try:
            return int(spark.sql(statement).collect()[0]["num_inserted_rows"])
        except WRITE_ERRORS as error:
            if "DELTA_CONCURRENT" not in str(error):
                raise
            _log.info("the usage table was written meanwhile; the import is tried again")
        time.sleep(pause_s)
    return int(spark.sql(statement).collect()[0]["num_inserted_rows"])
