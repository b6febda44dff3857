"""`gateway-batch demo`: the main job end to end, on real text."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway_batch.cli.console import output, styled
from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from gateway_batch.devgateway import RunningGateway
    from gateway_batch.spark.gateway import Gateway

ENDPOINT = "databricks-gpt-5-4"
FIRST_TEN = f"""\
SELECT ai_query(
  '{ENDPOINT}',
  'Summarize the following text: ' || text_column
) AS summary
FROM my_table
LIMIT 10"""
WHOLE_TABLE = f"""\
CREATE OR REPLACE TABLE summaries USING DELTA AS
SELECT name, text_column, answer.result AS summary, answer.errorMessage AS error
FROM (
  SELECT *, ai_query(
    '{ENDPOINT}',
    'Summarize the following text: ' || text_column,
    failOnError => false,
    requestTags => map('step', 'whole table')
  ) AS answer
  FROM my_table
)"""
_EXCERPT = 200


def demo(
    rows: Annotated[int, typer.Option(min=1, help="How many texts.")] = 2000,
    input_path: Annotated[
        Path | None, typer.Option("--input", help="CSV, JSON lines, Parquet or Delta; else Python's docstrings.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="The column of --input that has the text.")] = "text",
    gateway: Annotated[
        str, typer.Option(help="dev: a development gateway of its own; env: DATABRICKS_HOST and DATABRICKS_TOKEN.")
    ] = "dev",
    folder: Annotated[Path, typer.Option("--dir", help="Where the tables, the ledger and the log go.")] = Path("demo"),
) -> None:
    """Run ai_query over real text, then show answers, usage, and the reconciliation with the gateway's record.

    Example: gateway-batch demo --rows 500 --input reviews.csv --text-column review
    """
    from gateway_batch.cli.gateways import Choice, chosen
    from gateway_batch.spark.gateway import register_ai_query
    from gateway_batch.spark.session.quiet_session import quiet_session

    if gateway not in (Choice.DEV, Choice.ENV):
        raise typer.BadParameter("one of dev, env", param_hint="--gateway")
    if input_path is not None and not input_path.exists():
        raise ConfigError(f"no such file or folder: {input_path}")
    settings: dict[str, Any] = {"request_tags": {"project": "demo"}, "flush_interval": 0}
    with contextlib.ExitStack() as stack:
        config, development = stack.enter_context(chosen(Choice(gateway), folder / "devgateway.sqlite", **settings))
        output.print(_introduction(config.host, development))
        with output.status("Starting Spark with Delta (the first time, it fetches Delta's jars) …"):
            spark = stack.enter_context(quiet_session(folder / "warehouse", folder / "spark.log"))
        registered = stack.enter_context(register_ai_query(spark, config))
        _run(spark, registered, development, input_path, text_column, rows, folder / "warehouse")
    where, ours = f"Tables are in {folder / 'warehouse'}: ", (config.usage_table, "cyan")
    output.print(Text.assemble(where, ("summaries", "cyan"), " and ", ours, ". Next:"))
    output.print(f"  {sys.argv[0]} usage --by tag:step --warehouse {folder / 'warehouse'}", style="dim")


def _run(
    spark: SparkSession,
    registered: Gateway,
    development: RunningGateway | None,
    input_path: Path | None,
    text_column: str,
    rows: int,
    warehouse: Path,
) -> None:
    from gateway_batch.cli.usage_table import usage_table
    from gateway_batch.usage_report import ALWAYS, key_of, place_of
    from gateway_batch.usage_report.report import usage_report

    count = load_texts(spark, input_path, text_column, rows)
    source = str(input_path) if input_path else "docstrings of Python's standard library"
    output.print(styled("[bold]my_table[/]:"), f"{count:,} texts, {source}\n")
    output.print(Panel(FIRST_TEN, title="the first ten", title_align="left", style="cyan"))
    first = spark.sql(FIRST_TEN).collect()
    output.print(_lines([row.summary for row in first[:3]], "summary"))
    output.print(Panel(WHOLE_TABLE, title="the whole table", title_align="left", style="cyan"))
    seconds = _with_progress(registered, count, lambda: spark.sql(WHOLE_TABLE))
    answered, failed = _outcome(spark)
    output.print(f"{answered:,} answered, {failed:,} failed in {seconds:.1f} s, {count / seconds:,.0f} rows/s\n")
    output.print(_answers(spark.table("summaries").where("summary IS NOT NULL").limit(4)))
    registered.usage.flush()
    table = registered.usage.table
    for by in ("endpoint", "tag:step"):
        report = usage_report(place_of(table, warehouse), key_of(by), ALWAYS)
        output.print(usage_table(report, report.rows, name=table, period=ALWAYS, width=output.width))
    if development is not None:
        _reconcile(spark, registered, development)


def _introduction(host: str | None, development: RunningGateway | None) -> Panel:
    title = styled("[bold]gateway_batch[/]: ai_query on Spark, every request in a usage ledger\nGateway: ")
    own = (
        ", a development gateway of its own.\nIts models are stand-ins: they answer with sentences of the text itself."
        if development is not None
        else ""
    )
    return Panel(Text.assemble(title, (host or "none", "bold"), own), box=box.ROUNDED)


def load_texts(spark: SparkSession, path: Path | None, column: str, rows: int) -> int:
    """Makes the view `my_table` (name, text_column); returns how many rows it has.

    Raises:
        ConfigError: the file can't be read, or has no such column, or no text in it.
    """
    from gateway_batch.cli.texts import docstrings
    from gateway_batch.spark.files.tables import read_table

    if path is None:
        texts = spark.createDataFrame(docstrings(rows), "name STRING, text_column STRING")
    else:
        given = read_table(spark, path)
        if column not in given.columns:
            raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(given.columns)}: use --text-column")
        quoted = f"`{column.replace('`', '``')}`"
        name = "CAST(monotonically_increasing_id() AS STRING) AS name"
        texts = given.selectExpr(name, f"CAST({quoted} AS STRING) AS text_column").limit(rows)
    texts.where("text_column IS NOT NULL").repartition(8).cache().createOrReplaceTempView("my_table")
    count = spark.table("my_table").count()
    if count == 0:
        raise ConfigError(f"{path}: column {column!r} has no text")
    return count


def _with_progress(registered: Gateway, total: int, action: Callable[[], object]) -> float:
    """Runs a query with a bar of what is in the spool already; returns its seconds."""
    from gateway_batch.usage.spool_progress import SpoolWatch

    spool, finished = SpoolWatch(registered.usage.spool_dir), threading.Event()
    before = spool.look()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )

    def watch(progress: Progress) -> None:
        task = progress.add_task("requests", total=total)
        while not finished.wait(0.2):
            progress.update(task, completed=spool.look().since(before).attempts)
        progress.update(task, completed=spool.look().since(before).attempts)

    started = time.perf_counter()
    with Progress(*columns, console=output) as progress:
        watcher = threading.Thread(target=watch, args=(progress,))
        watcher.start()
        try:
            action()
        finally:
            finished.set()
            watcher.join()
    return time.perf_counter() - started


def _outcome(spark: SparkSession) -> tuple[int, int]:
    row = spark.sql("SELECT count(summary) AS answered, count(error) AS failed FROM summaries").first()
    assert row is not None
    return row.answered, row.failed


def _answers(frame: DataFrame) -> Table:
    table = Table(title="summaries", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_lines=True)
    for name in ("name", "text", "summary"):
        table.add_column(name, overflow="fold", ratio=1 if name == "name" else 2)
    for row in frame.collect():
        table.add_row(row.name, _excerpt(row.text_column), _excerpt(row.summary))
    return table


def _lines(values: list[str], name: str) -> Table:
    table = Table(name, box=box.SIMPLE_HEAD)
    for value in values:
        table.add_row(_excerpt(value))
    return table


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _reconcile(spark: SparkSession, registered: Gateway, development: RunningGateway) -> None:
    """Shows the reconciliation.

    Raises:
        ConfigError: the usage table and the gateway's record differ.
    """
    from gateway_batch.cli.terminal_tables import classes_table
    from gateway_batch.spark.ledger.reconcile import count_classes

    found = count_classes(spark, registered.usage.table, development.ledger)
    output.print(classes_table(found))
    if not found.reconciles:
        raise ConfigError("the usage table and the gateway's record differ: see the classes above")
    output.print("The usage table reconciles with the gateway's record.\n", style="bold green")
