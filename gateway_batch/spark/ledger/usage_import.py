"""Other clients' requests, from a gateway's own record into the usage table: each once, and never one of ours."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.apis.refusals import kind_of_status
from gateway_batch.errors import ConfigError, LedgerError
from gateway_batch.figures.outcomes import FAILED_FROM
from gateway_batch.spark.delta_tables.conflicts import PAUSES_S, commit
from gateway_batch.spark.delta_tables.lock import table_lock
from gateway_batch.spark.delta_tables.spark_writer import SparkDeltaWriter
from gateway_batch.spark.ledger.gateway_record import Ledger, is_table, read_ledger
from gateway_batch.spark.ledger.usage_table import add_missing_columns, create_usage_table
from gateway_batch.spark.session.messages import first_line
from gateway_batch.spark.session.session_kind import WRITE_ERRORS
from gateway_batch.spark.session.sql_text import quoted
from gateway_batch.usage.record import SCHEMA_VERSION, ClientMetadata, UsageRecord, columns
from gateway_batch.version import AGENT

IMPORTED = "imported"
"""The outcome of a row that came from a gateway's own record."""

_KEY = ("request_id", "invocation_id")
_NEEDED = (*_KEY, "user_agent")

_TRIES = 5  # again: others wait for the table's lock meanwhile

_log = logging.getLogger(__name__)


def import_ledger(
    spark: SparkSession, table: str, ledger: Ledger, where: str | None = None, event_id_tag: str | None = None
) -> int:
    """See `Usage.import_ledger`, which this is behind; what is in the spool has been flushed."""
    create_usage_table(spark, table)
    add_missing_columns(spark, table)
    theirs = read_ledger(spark, ledger)
    if missing := [name for name in _NEEDED if name not in theirs.columns]:
        raise ConfigError(
            f"ledger: it lacks {', '.join(missing)}: an import goes by request_id and invocation_id, together a "
            "request's key, and user_agent shows which requests are our own"
        )
    if where is not None:
        theirs = theirs.where(where)
    view = f"gateway_batch_import_{secrets.token_hex(8)}"
    try:
        if is_table(spark, ledger) and "event_time" in theirs.columns:
            days = days_to_read(others_of(theirs, spark.table(quoted(table)), event_id_tag), spark.table(quoted(table)))
            if not days:
                return 0
            theirs = theirs.where(_is_of(days))
        others = others_of(theirs, spark.table(quoted(table)), event_id_tag)
        others.select(*_columns(theirs)).createOrReplaceTempView(view)
        with table_lock(SparkDeltaWriter(spark, table).local_folder):
            return _merge(spark, table, view)
    except WRITE_ERRORS as error:
        raise LedgerError(f"the import into {table} failed, and added nothing: {first_line(error)}") from error
    finally:
        spark.catalog.dropTempView(view)


def imported_key() -> Column:
    """The event id of an imported row, from its own columns `request_id` and `invocation_id`."""
    return F.concat_ws(":", F.lit(IMPORTED), *_KEY)


def others_of(theirs: DataFrame, table: DataFrame, event_id_tag: str | None = None) -> DataFrame:
    """Their rows that are not ours, one for each key.

    A request of ours that our table lacks is known by its user agent, or by the tag that carries event ids: imported, a
    lost record would not be seen.
    """
    is_ours = F.coalesce(F.col("user_agent").startswith(AGENT), F.lit(False))
    if event_id_tag is not None and "request_tags" in theirs.columns:
        is_ours |= F.try_element_at("request_tags", F.lit(event_id_tag)).isNotNull()
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


def days_to_read(others: DataFrame, table: DataFrame) -> list[date | None]:
    """The days of which the table lacks a row of theirs, however late it came; None for rows without a time.

    A day's rows are counted on both sides, and the hashes of their keys added up: of days that agree nothing more is
    read. Where records of several gateways were imported, no day of both agrees, and each is read again.
    """
    imported = table.where(f"client_metadata.outcome = '{IMPORTED}'")
    theirs, ours = (
        frame.groupBy(_day().alias("day")).agg(
            F.count("*").alias(f"{side}_rows"), F.sum(F.xxhash64(*_KEY).cast("DECIMAL(38, 0)")).alias(f"{side}_keys")
        )
        for side, frame in (("their", others), ("our", imported))
    )
    both = theirs.join(ours, "day", "left")
    same = F.col("their_rows").eqNullSafe(F.col("our_rows")) & F.col("their_keys").eqNullSafe(F.col("our_keys"))
    return [row.day for row in both.where(~same).select("day").collect()]


def _day() -> Column:
    return F.to_date("event_time")


def _is_of(days: list[date | None]) -> Column:
    """With the range of the days too, which a table passes files over by."""
    known = [day for day in days if day is not None]
    found = F.col("event_time").isNull() if None in days else F.lit(False)
    if known:
        after = F.col("event_time") >= F.lit(min(known)).cast("timestamp")
        before = F.col("event_time") < F.lit(max(known) + timedelta(days=1)).cast("timestamp")
        found = found | (after & before & _day().isin(known))
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
    return found.when(status >= FAILED_FROM, usual.value)


def _merge(spark: SparkSession, table: str, view: str) -> int:
    """Adds the rows whose key the table lacks. Where other hosts write too, a commit may have to be tried again."""
    names = [name for name, _ in columns(UsageRecord)]
    statement = (
        f"MERGE INTO {quoted(table)} AS ours USING {view} AS theirs "
        "ON ours.request_id = theirs.request_id AND ours.invocation_id <=> theirs.invocation_id "
        f"AND ours.client_metadata.outcome = '{IMPORTED}' "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'theirs.{name}' for name in names)})"
    )
    return commit(lambda: int(spark.sql(statement).collect()[0]["num_inserted_rows"]), PAUSES_S[:_TRIES])
