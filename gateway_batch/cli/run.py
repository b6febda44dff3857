"""`gateway-batch run`: the batch job."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway_batch.cli import job_options
from gateway_batch.cli.console import errors, output, styled
from gateway_batch.spark.files.bad_input import BadInput

if TYPE_CHECKING:
    from gateway_batch.jobs.report import BatchReport

_FAILED = 1
_LINE_EVERY_S = 30.0
"""Where there is no terminal, a line at least so often, and one for each chunk."""


def run(
    source: job_options.Source,
    key: job_options.Keys,
    out: job_options.Output,
    endpoint: job_options.Endpoint,
    prompt: job_options.Prompt = None,
    request: job_options.Request = None,
    system_prompt: job_options.SystemPrompt = None,
    return_type: job_options.ReturnType = None,
    response_format: job_options.ResponseFormat = None,
    model_parameters: job_options.ModelParameters = None,
    request_tags: job_options.RequestTags = None,
    inputs: job_options.Inputs = None,
    bad_input: job_options.BadInputs = BadInput.FAIL,
    retry_errors: job_options.RetryErrors = False,
    max_rows: job_options.MaxRows = None,
    fail_if: Annotated[
        str | None, typer.Option(help="End with exit code 1 where this holds: 'error_rate > 0.05'.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Refuse to start if the estimate is above this, in US dollars.")
    ] = None,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Rows of a commit.")] = 20_000,
    gateway: job_options.Gateway = "auto",
    warehouse: job_options.Warehouse = job_options.HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Answer the rows of a table that are new or changed, into a table with one row for each key.

    Run it again whenever it ended or died: rows that have their answer are not asked again. Exit code 1 where --fail-if
    held or the budget was spent.

    Example: gateway-batch run --source mails --input mails=mails.csv --key id --prompt 'Summarize: {body}'
    --endpoint databricks-gpt-5-4 --output ai_gateway.summaries
    """
    from gateway_batch.jobs.estimate import check_cost
    from gateway_batch.jobs.report import Status
    from gateway_batch.jobs.run import run_batch

    job = job_options.JobOptions(
        source,
        key,
        out,
        endpoint,
        prompt,
        request,
        system_prompt,
        return_type,
        response_format,
        model_parameters,
        request_tags,
    ).job(bad_input)
    with (
        job_options.job_session(gateway, warehouse, inputs, bad_input) as (spark, config),
        _Shown(errors if as_json else output) as shown,
    ):
        if max_cost is not None:
            check_cost(spark, job, config, max_cost, retry_errors=retry_errors, max_rows=max_rows)
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
        errors.print(styled("[bold red]stopped[/]"), f"{fail_if}: {report.left:,} rows are left for the next run")
    elif report.status is Status.BUDGET:
        errors.print(
            styled("[bold red]stopped[/]"), f"the budget is spent: {report.left:,} rows are left for the next run"
        )
    if report.status is not Status.COMPLETED:
        raise typer.Exit(_FAILED)


class _Shown:
    """How a run stands, on the terminal: a bar there, plain lines elsewhere, and a summary however it ends."""

    def __init__(self, summary: Console) -> None:
        self._summary = summary
        self._report: BatchReport | None = None
        self._printed_at = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[figures]}"),
            console=errors,
        )  # fmt: skip
        self._task = self._bar.add_task("rows", total=None, figures="")

    def __enter__(self) -> _Shown:
        if errors.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        from gateway_batch.jobs.progress import summary

        if self._report is not None:
            self._summary.print(summary(self._report), highlight=False)

    def update(self, report: BatchReport) -> None:
        """Takes the newest report."""
        from gateway_batch.jobs.progress import figures

        before, self._report = self._report, report
        if errors.is_terminal:
            done = report.rows + report.under_way
            self._bar.update(self._task, total=report.planned, completed=done, figures=figures(report))
        elif before is None or report.rows > before.rows or time.monotonic() - self._printed_at >= _LINE_EVERY_S:
            self._printed_at = time.monotonic()
            errors.print(figures(report), highlight=False)
