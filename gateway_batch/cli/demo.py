"""`gateway-batch demo`: the main job end to end, on real text."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.panel import Panel
from rich.text import Text

from gateway_batch.cli import demo_local
from gateway_batch.cli.console import output, styled
from gateway_batch.cli.demo_output import answers_table, lines_table, with_progress
from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from gateway_batch.devgateway import RunningGateway
    from gateway_batch.spark.gateway import Gateway

ENDPOINT = "databricks-gpt-5-4"
ROWS = 2000
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

_STAND_INS = """\
Its models are stand-ins: they answer with sentences of the text itself, thousands of rows a minute.
With --models local they are real ones."""
_REAL = """\
Its models are real and small: SmolLM2 with 135 million parameters for chat, multilingual-e5-small for embeddings.
They run on this machine, some 20 tokens a second, and are often wrong. The stand-ins are for thousands of rows."""


def demo(
    rows: Annotated[
        int | None, typer.Option(min=1, help="How many texts; else 2,000, or 10 with local models.")
    ] = None,
    input_path: Annotated[
        Path | None, typer.Option("--input", help="CSV, JSON lines, Parquet or Delta; else Python's docstrings.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="The column of --input that has the text.")] = "text",
    gateway: Annotated[
        str, typer.Option(help="dev: a development gateway of its own; env: DATABRICKS_HOST and DATABRICKS_TOKEN.")
    ] = "dev",
    models: Annotated[
        str,
        typer.Option(
            help="Of the development gateway. stand-in: sentences of the text; "
            "local: small real models on this machine, some 20 tokens a second, of the extra 'local'."
        ),
    ] = "stand-in",
    folder: Annotated[Path, typer.Option("--dir", help="Where the tables, the ledger and the log go.")] = Path("demo"),
) -> None:
    """Run ai_query over real text, then show answers, usage, and the reconciliation with the gateway's record.

    With local models it is ten short texts, each summarized, searched for a keyword and compared with a phrase.

    Example: gateway-batch demo --rows 500 --input reviews.csv --text-column review
    """
    from gateway_batch.cli.gateways import Choice, chosen, models_named
    from gateway_batch.spark.gateway import register_ai_query
    from gateway_batch.spark.session.quiet_session import quiet_session

    if gateway not in (Choice.DEV, Choice.ENV):
        raise typer.BadParameter("one of dev, env", param_hint="--gateway")
    kind = models_named(models)
    is_local = kind is kind.LOCAL
    if is_local and gateway != Choice.DEV:
        raise typer.BadParameter("they are of a development gateway: use --gateway dev", param_hint="--models")
    if input_path is not None and not input_path.exists():
        raise ConfigError(f"no such file or folder: {input_path}")
    settings: dict[str, Any] = {"request_tags": {"project": "demo"}}
    if not is_local:  # whose queries leave Spark time to make the usage table
        settings["flush_interval"] = 0
    with contextlib.ExitStack() as stack:
        ledger = folder / "devgateway.sqlite"
        config, development = stack.enter_context(chosen(Choice(gateway), ledger, kind, **settings))
        output.print(_introduction(config.host, development, is_local=is_local))
        with output.status("Starting Spark with Delta (the first time, it fetches Delta's jars) …"):
            spark = stack.enter_context(quiet_session(folder / "warehouse", folder / "spark.log"))
        registered = stack.enter_context(register_ai_query(spark, config))
        if is_local:
            count = _load(spark, input_path, text_column, rows or demo_local.ROWS, demo_local.LONGEST)
            demo_local.show_functions(spark, registered, count)
            _report_usage(registered, folder / "warehouse", "endpoint")
        else:
            _answer_all(spark, registered, _load(spark, input_path, text_column, rows or ROWS))
            _report_usage(registered, folder / "warehouse", "endpoint", "tag:step")
        if development is not None and not is_local:
            _reconcile(spark, registered, development)
    tables = [config.usage_table] if is_local else ["summaries", config.usage_table]
    following = f"reconcile {ledger}" if is_local else "usage --by tag:step"
    output.print(f"Tables are in {folder / 'warehouse'}: {' and '.join(tables)}. Next:")
    output.print(f"  {sys.argv[0]} {following} --warehouse {folder / 'warehouse'}", style="dim")


def _load(spark: SparkSession, path: Path | None, column: str, rows: int, longest: int | None = None) -> int:
    count = load_texts(spark, path, column, rows, longest)
    source = str(path) if path else "docstrings of Python's standard library"
    short = f" of at most {longest} characters" if longest else ""
    output.print(styled("[bold]my_table[/]:"), f"{count:,} texts{short}, {source}\n")
    return count


def _answer_all(spark: SparkSession, registered: Gateway, count: int) -> None:
    output.print(Panel(FIRST_TEN, title="the first ten", title_align="left", style="cyan"))
    first = spark.sql(FIRST_TEN).collect()
    output.print(lines_table([row.summary for row in first[:3]], "summary"))
    output.print(Panel(WHOLE_TABLE, title="the whole table", title_align="left", style="cyan"))
    _, seconds = with_progress(registered, count, lambda: spark.sql(WHOLE_TABLE))
    answered, failed = _outcome(spark)
    output.print(f"{answered:,} answered, {failed:,} failed in {seconds:.1f} s, {count / seconds:,.0f} rows/s\n")
    some = spark.table("summaries").where("summary IS NOT NULL").select("name", "text_column", "summary").limit(4)
    output.print(answers_table(some.collect(), {"name": 1, "text": 2, "summary": 2}, title="summaries"))


def _report_usage(registered: Gateway, warehouse: Path, *keys: str) -> None:
    from gateway_batch.cli.usage_table import usage_table
    from gateway_batch.usage_report import ALWAYS, key_of, place_of
    from gateway_batch.usage_report.report import usage_report

    registered.usage.flush()
    table = registered.usage.table
    for by in keys:
        report = usage_report(place_of(table, warehouse), key_of(by), ALWAYS)
        output.print(usage_table(report, report.rows, name=table, period=ALWAYS, width=output.width))


def _introduction(host: str | None, development: RunningGateway | None, *, is_local: bool) -> Panel:
    title = styled("[bold]gateway_batch[/]: ai_query on Spark, every request in a usage ledger\nGateway: ")
    own = ""
    if development is not None:
        own = f", a development gateway of its own.\n{_REAL if is_local else _STAND_INS}"
    return Panel(Text.assemble(title, (host or "none", "bold"), own), box=box.ROUNDED)


def load_texts(spark: SparkSession, path: Path | None, column: str, rows: int, longest: int | None = None) -> int:
    """Makes the view `my_table` (name, text_column); returns how many rows it has.

    Args:
        spark: whose view it is.
        path: of the texts; None for docstrings.
        column: that has the text.
        rows: at most so many.
        longest: texts of more characters are left out.

    Raises:
        ConfigError: the file can't be read, or has no such column, or no text in it.
    """
    import pyarrow as pa

    from gateway_batch.cli.texts import docstrings
    from gateway_batch.spark.files.tables import read_table

    if path is None:
        found = [{"name": name, "text_column": text} for name, text in docstrings(rows, longest)]
        columns = pa.schema({"name": pa.string(), "text_column": pa.string()})
        texts = spark.createDataFrame(pa.Table.from_pylist(found, columns))
    else:
        given = read_table(spark, path)
        if column not in given.columns:
            raise ConfigError(f"{path} has no column {column!r}; it has {', '.join(given.columns)}: use --text-column")
        quoted = f"`{column.replace('`', '``')}`"
        name = "CAST(monotonically_increasing_id() AS STRING) AS name"
        texts = given.selectExpr(name, f"CAST({quoted} AS STRING) AS text_column")
        texts = texts.where(f"length(text_column) <= {longest}" if longest else "true").limit(rows)
    texts.where("text_column IS NOT NULL").repartition(8).cache().createOrReplaceTempView("my_table")
    count = spark.table("my_table").count()
    if count == 0:
        short = f" of at most {longest} characters" if longest else ""
        raise ConfigError(f"{path}: column {column!r} has no text{short}")
    return count


def _outcome(spark: SparkSession) -> tuple[int, int]:
    row = spark.sql("SELECT count(summary) AS answered, count(error) AS failed FROM summaries").first()
    assert row is not None
    return row.answered, row.failed


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
