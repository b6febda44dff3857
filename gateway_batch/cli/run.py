"""`gateway-batch run`: the batch job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gateway_batch.cli.console import errors, output
from gateway_batch.cli.options import gateway_choice, json_object, named_path

if TYPE_CHECKING:
    from gateway_batch.jobs.report import BatchReport

_FAILED = 1


def run(
    source: Annotated[str, typer.Option(help="A table, a path (CSV, JSON lines, Parquet, Delta), or a query.")],
    key: Annotated[list[str], typer.Option(help="A column that tells rows apart; may be given several times.")],
    out: Annotated[str, typer.Option("--output", help="The Delta table of the answers; made, if it is missing.")],
    endpoint: Annotated[str, typer.Option(help="The endpoint, as of ai_query.")],
    prompt: Annotated[str | None, typer.Option(help="A template with columns in braces: 'Summarize: {body}'.")] = None,
    request: Annotated[str | None, typer.Option(help="A SQL expression in its place.")] = None,
    return_type: Annotated[str | None, typer.Option(help="Type of an answer, as DDL.")] = None,
    response_format: Annotated[str | None, typer.Option(help="As of ai_query.")] = None,
    model_parameters: Annotated[str | None, typer.Option(help="A JSON object: '{\"temperature\": 0.1}'.")] = None,
    request_tags: Annotated[str | None, typer.Option(help="A JSON object of texts, or a SQL MAP.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=PATH", help="A path as a view that --source may name."),
    ] = None,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Try rows again whose error would repeat itself, too.")
    ] = False,
    max_rows: Annotated[int | None, typer.Option(min=1, help="So many rows at most.")] = None,
    fail_if: Annotated[
        str | None, typer.Option(help="End with exit code 1 where this holds: 'error_rate > 0.05'.")
    ] = None,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Rows of a commit.")] = 20_000,
    gateway: Annotated[
        str, typer.Option(help="env: the configured one; dev: a development gateway; auto: env if configured.")
    ] = "auto",
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables, where no session is active.")] = Path(
        "spark-warehouse"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Answer the rows of a table that are new or changed, into a table with one row for each key.

    Run it again whenever it ended or died: rows that have their answer are not asked again. Exit code 1 where --fail-if
    held or the budget was spent.

    Example: gateway-batch run --source mails --input mails=mails.csv --key id --prompt 'Summarize: {body}'
    --endpoint databricks-gpt-5-4 --output ai_gateway.summaries
    """
    from gateway_batch.cli.gateways import chosen
    from gateway_batch.jobs.report import Status
    from gateway_batch.jobs.run import BatchJob, run_batch
    from gateway_batch.spark.files import read_table
    from gateway_batch.spark.quiet import active_session

    choice = gateway_choice(gateway)
    job = BatchJob(
        source=source,
        output=out,
        keys=key,
        endpoint=endpoint,
        prompt=prompt,
        request=request,
        return_type=return_type,
        response_format=response_format,
        model_parameters=json_object("--model-parameters", model_parameters),
        request_tags=_tags(request_tags),
    )
    views = dict(named_path(text) for text in inputs or [])
    own = warehouse / "_gateway_batch"
    with chosen(choice, own / "devgateway.sqlite") as (config, development):
        if development is not None:
            errors.print(
                "no gateway is configured: the development gateway answers, its models are stand-ins", style="dim"
            )
        with active_session(warehouse) as spark, _Shown(errors if as_json else output) as shown:
            for name, path in views.items():
                read_table(spark, path).createOrReplaceTempView(name)
            report = run_batch(
                spark,
                job,
                config,
                retry_errors=retry_errors,
                max_rows=max_rows,
                fail_if=fail_if,
                chunk_rows=chunk_rows,
                on_progress=shown.update,
            )
    if as_json:
        print(json.dumps(report.as_json()))
    if report.status is Status.FAIL_IF:
        errors.print(f"[bold red]stopped[/] {fail_if}: {report.left:,} rows are left for the next run")
    elif report.status is Status.BUDGET:
        errors.print(f"[bold red]stopped[/] the budget is spent: {report.left:,} rows are left for the next run")
    if report.status is not Status.COMPLETED:
        raise typer.Exit(_FAILED)


class _Shown:
    """How a run stands, on the terminal: a bar there, plain lines elsewhere, and a summary however it ends."""

    def __init__(self, summary: Console) -> None:
        self._summary = summary
        self._report: BatchReport | None = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(), TimeRemainingColumn(), console=errors,
        )  # fmt: skip
        self._task = self._bar.add_task("rows", total=None, figures="")

    def __enter__(self) -> _Shown:
        if errors.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._report is not None:
            self._summary.print(_summary(self._report), highlight=False)

    def update(self, report: BatchReport) -> None:
        """Takes the newest report."""
        self._report = report
        if errors.is_terminal:
            self._bar.update(self._task, total=report.planned, completed=report.rows, figures=_figures(report))
        else:
            errors.print(_figures(report), highlight=False)


def _figures(report: BatchReport) -> str:
    """One line of how a run stands."""
    rate = report.rows / report.seconds if report.seconds else 0.0
    parts = [f"{report.rows:,} of {report.planned:,} rows", f"{rate:,.0f} rows/s"]
    parts.append(f"{report.input_tokens + report.output_tokens:,} tokens")
    if report.cost_usd is not None:
        parts.append(f"{report.cost_usd:,.4f} USD")
        if 0 < report.rows < report.planned:
            parts.append(f"about {report.cost_usd * report.planned / report.rows:,.4f} USD in the end")
    parts += [f"{count:,} {kind}" for kind, count in sorted(report.errors.items())]
    return ", ".join(parts)


def _summary(report: BatchReport) -> str:
    cost = "cost not known" if report.cost_usd is None else f"{report.cost_usd:,.4f} USD"
    failed = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.errors.items()))
    return (
        f"{report.output}: {report.rows:,} of {report.planned:,} rows in {report.seconds:,.1f} s, "
        f"{report.left:,} left; "
        f"{report.requests:,} requests sent, {report.saved:,} saved; "
        f"{report.input_tokens:,} + {report.output_tokens:,} tokens, {cost}; "
        f"{report.failed_rows:,} failed{f' ({failed})' if failed else ''}"
    )


def _tags(text: str | None) -> dict[str, str] | str | None:
    """A JSON object of texts, else SQL."""
    if text is None or not text.lstrip().startswith("{"):
        return text
    return json_object("--request-tags", text)
