"""The output table of a batch job, one row for each key, and the table of rows that a run still has to answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as t

from gateway_batch.errors import ConfigError
from gateway_batch.jobs.pending_rows import NEWER_COLUMNS, RESULT_COLUMNS
from gateway_batch.jobs.template import quoted_column
from gateway_batch.local_files.locks import locked
from gateway_batch.spark.delta_tables.creation import add_columns, make_table, needs_column_mapping
from gateway_batch.spark.delta_tables.spark_writer import SparkDeltaWriter
from gateway_batch.spark.functions import ddl_of
from gateway_batch.spark.session.sql_text import literal, quoted
from gateway_batch.spark.session.temporary_view import as_view

RUN_ID = "gateway_batch.run_id"

_MARK = "By gateway_batch."
_LOCK = "_gateway_batch_run.lock"
_COMMENT = f"Answers of a batch job, one row for each key. {_MARK}"


def make_output(spark: SparkSession, table: str, answers: t.StructType) -> None:
    """Makes the output table, if it is missing, or adds the columns that one of an earlier version lacks.

    Args:
        spark: the session.
        table: its name.
        answers: the type of its rows.

    Raises:
        ConfigError: there is a table of that name with other columns.
    """
    described = ",\n".join(f"  {_column(field)}" for field in answers)
    made = f"CREATE TABLE IF NOT EXISTS {quoted(table)} (\n{described}\n)\nUSING DELTA\nCOMMENT {literal(_COMMENT)}"
    if needs_column_mapping(answers):
        made += "\nTBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    make_table(spark, table, made)
    has = spark.table(quoted(table)).columns
    missing = [field for field in answers if field.name not in has]
    if {field.name for field in missing} == NEWER_COLUMNS and len(has) + len(missing) == len(answers):
        add_columns(spark, table, map(_column, missing))
    _check_output(spark, table, answers)


def merge(spark: SparkSession, table: str, keys: Sequence[str], answers: DataFrame) -> None:
    """Puts answers into the output table, in the place of earlier ones of the same keys: one commit."""
    same_key = " AND ".join(f"output.{quoted_column(key)} <=> answers.{quoted_column(key)}" for key in keys)
    with as_view(answers) as view:
        spark.sql(
            f"MERGE INTO {quoted(table)} AS output USING {view} AS answers ON {same_key}\n"
            "WHEN MATCHED THEN UPDATE SET *\nWHEN NOT MATCHED THEN INSERT *"
        )


@contextlib.contextmanager
def one_run(spark: SparkSession, output: str) -> Iterator[None]:
    """Keeps other runs off an output table that lies on a disk of this machine; elsewhere nothing does.

    Raises:
        ConfigError: another run of it is under way.
    """
    folder = SparkDeltaWriter(spark, output).local_folder
    if folder is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / _LOCK, wait=False))
        except BlockingIOError:
            raise ConfigError(f"output: another run of {output} is under way") from None
        yield


def pending_table(output: str) -> str:
    """Where the rows are that a run of a job has to answer; its prompts are in there until the run has ended."""
    return f"{output}_pending"


def unfinished_run(spark: SparkSession, output: str) -> str | None:
    """The id of a run that did not end; None where there is none.

    Raises:
        ConfigError: there is a table of the pending rows' name that is not of a run.
    """
    table = pending_table(output)
    if not spark.catalog.tableExists(quoted(table)):
        return None
    properties = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {quoted(table)}").collect()}
    run_id: str | None = properties.get(RUN_ID)
    if run_id is None:
        raise ConfigError(f"{table}: there is a table of that name already, and it is not a batch job's")
    return run_id


def write_pending(spark: SparkSession, output: str, run_id: str, query: str) -> str:
    """Computes the rows that a run has to answer; returns their table's name."""
    table = pending_table(output)
    spark.sql(
        f"CREATE OR REPLACE TABLE {quoted(table)} USING DELTA PARTITIONED BY (chunk)\n"
        f"COMMENT {literal(f'Rows that a batch job has still to answer; dropped when it ends. {_MARK}')}\n"
        f"TBLPROPERTIES ({literal(RUN_ID)} = {literal(run_id)})\nAS\n{query}"
    )
    return table


def drop_pending(spark: SparkSession, output: str) -> None:
    """Forgets the rows of a run that has ended."""
    spark.sql(f"DROP TABLE IF EXISTS {quoted(pending_table(output))}")


def _check_output(spark: SparkSession, table: str, answers: t.StructType) -> None:
    has = {field.name: field.dataType for field in spark.table(quoted(table)).schema._as_nullable()}
    wanted = {field.name: field.dataType for field in answers._as_nullable()}
    differing = [
        f"{name} is {has[name].simpleString()}, not {data_type.simpleString()}" if name in has else f"no column {name}"
        for name, data_type in wanted.items()
        if has.get(name) != data_type
    ]
    further = [f"{name} is no column of a job with these keys" for name in has if name not in wanted]
    if differing or further:
        raise ConfigError(
            f"output: {table} is not what this job writes: {'; '.join(differing + further)}. Give another output, or "
            "drop it"
        )


def _column(field: t.StructField) -> str:
    comment = RESULT_COLUMNS.get(field.name, "Key of the row.")
    return f"{quoted_column(field.name)} {ddl_of(field.dataType)} COMMENT {literal(comment)}"
