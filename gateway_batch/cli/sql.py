"""`gateway-batch sql`: one query with ai_query in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from gateway_batch.cli.console import errors, output
from gateway_batch.cli.job_options import BadInputs, make_views
from gateway_batch.cli.option_values import gateway_choice, named_path
from gateway_batch.local_files.outputs import Made, check_output, staging_folder
from gateway_batch.spark.files.bad_input import BadInput

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from gateway_batch.spark.gateway import Gateway

_SHOWN = 20
_LONGEST_CELL = 300


def sql(
    query: Annotated[str, typer.Argument(help="A SQL statement.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=PATH", help="A CSV, JSON, Parquet or Delta path as a view."),
    ] = None,
    bad_input: BadInputs = BadInput.FAIL,
    out: Annotated[
        Path | None, typer.Option("--output", help="Write here: a .csv, .json or .parquet file, else a Delta folder.")
    ] = None,
    gateway: Annotated[
        str, typer.Option(help="env: the configured one; dev: a development gateway; auto: env if configured.")
    ] = "auto",
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("spark-warehouse"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a row.")] = False,
) -> None:
    """Run a SQL statement in a session that has ai_query.

    What --output names is replaced once all rows are there, if an earlier --output made it. Anything else that is
    there, an input above all, is refused before anything is sent.

    Example: gateway-batch sql "SELECT ai_query('databricks-gpt-5-4', 'Summarize: ' || body) AS s FROM mails"
    --input mails=mails.csv --output summaries.parquet
    """
    from gateway_batch.cli.gateways import chosen
    from gateway_batch.spark.analytics.run_view import NAME as RUNS
    from gateway_batch.spark.analytics.views import create_views, names_views
    from gateway_batch.spark.delta_tables.spark_writer import local_path
    from gateway_batch.spark.files.file_output import write_rows
    from gateway_batch.spark.gateway import register_ai_query
    from gateway_batch.spark.session.quiet_session import quiet_session

    choice = gateway_choice(gateway)
    views = dict(named_path(text) for text in inputs or [])
    own = warehouse / "_gateway_batch"
    made = Made(own / "outputs.json")
    if out is not None:
        _check(out, made, views.values())
    with chosen(choice, own / "devgateway.sqlite") as (config, development):
        if development is not None:
            errors.print(
                "no gateway is configured: the development gateway answers, its models are stand-ins", style="dim"
            )
        with quiet_session(warehouse, own / "spark.log") as spark, register_ai_query(spark, config) as registered:
            make_views(spark, views, bad_input)
            if RUNS in query:  # a session knows the view from its first flush on
                registered.usage.flush()
            schema = registered.usage.table.rpartition(".")[0] or "default"
            if names_views(query, schema):
                registered.usage.flush()
                create_views(spark, registered.usage.table, schema)
            frame = spark.sql(query)
            if out is not None:
                _check(out, made, map(local_path, frame.inputFiles()))
                write_rows(frame, out)
                made.add(out)
                errors.print(f"written to {out}")
            else:
                _print(frame, as_json)
            _say_usage(registered)


def _check(out: Path, made: Made, inputs: Iterable[Path | None]) -> None:
    from gateway_batch.spark.files.tables import DELTA, output_kind

    check_output(out, made, filter(None, inputs), folder=output_kind(out) == DELTA)
    with staging_folder(out):  # nothing is sent where nothing can be written
        pass


def _print(frame: DataFrame, as_json: bool) -> None:
    from gateway_batch.spark.files.file_output import json_lines

    if not frame.columns:
        return
    if as_json:
        for line in json_lines(frame):
            print(line)
    else:
        output.print(_table(frame))


def _table(frame: DataFrame) -> Table:
    # One more row than is shown would be one more request, so it says only that there may be more.
    rows = frame.limit(_SHOWN).collect()
    caption = f"the first {_SHOWN} rows; --output or --json has them all" if len(rows) == _SHOWN else None
    table = Table(*frame.columns, box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    text = "NULL" if value is None else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _say_usage(registered: Gateway) -> None:
    registered.usage.flush()
    recorded = registered.usage.committed
    requests = "request" if recorded == 1 else "requests"
    errors.print(f"{recorded:,} {requests} recorded in {registered.usage.table}", style="dim")
