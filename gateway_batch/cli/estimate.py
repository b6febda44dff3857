"""`gateway-batch estimate`: what a batch job would cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from gateway_batch.cli import job_options
from gateway_batch.cli.console import output
from gateway_batch.spark.files.bad_input import BadInput

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from gateway_batch.config import GatewayConfig
    from gateway_batch.spark.estimates.extrapolation import Interval
    from gateway_batch.spark.estimates.request_counts import Estimate


def estimate(
    source: Annotated[str | None, job_options.SOURCE] = None,
    key: Annotated[list[str] | None, job_options.KEY] = None,
    out: Annotated[str | None, job_options.OUTPUT] = None,
    endpoint: Annotated[str | None, job_options.ENDPOINT] = None,
    sql: Annotated[str | None, typer.Option(help="Any query with ai_query, in the place of a batch job.")] = None,
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
    sample: Annotated[
        int | None, typer.Option(min=1, help="Requests to send, whose answers are kept in the output.")
    ] = None,
    output_tokens: Annotated[
        int | None, typer.Option(min=0, help="Tokens of an answer, where no sample measures them.")
    ] = None,
    gateway: job_options.Gateway = "auto",
    warehouse: job_options.Warehouse = job_options.HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate what gateway-batch run with the same options, or a query, would send and cost.

    Without --sample nothing is sent: requests and their tokens are counted, and the length of answers is an assumption.

    Example: gateway-batch estimate --source mails --input mails=mails.csv --key id --prompt 'Summarize: {body}'
    --endpoint databricks-gpt-5-4 --output ai_gateway.summaries --sample 200
    """
    from gateway_batch.jobs.estimate import estimate_batch

    if sql is not None:
        if any((source, key, out, endpoint, prompt, request, system_prompt, sample, retry_errors, max_rows)):
            raise typer.BadParameter(
                "cannot be combined with batch-job options (--source, --key, ...)", param_hint="--sql"
            )
        with job_options.job_session(gateway, warehouse, inputs, bad_input) as (spark, config):
            _estimate_query(spark, config, sql, output_tokens, as_json)
        return
    if not (source and key and out and endpoint):
        raise typer.BadParameter("a batch job needs --source, --key, --output and --endpoint; any query, --sql")
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
    with job_options.job_session(gateway, warehouse, inputs, bad_input) as (spark, config):
        found = estimate_batch(
            spark,
            job,
            config,
            retry_errors=retry_errors,
            max_rows=max_rows,
            sample=sample,
            output_tokens=output_tokens,
        )
    if as_json:
        print(json.dumps(found.as_json()))
        return
    _show(out, found)


def _estimate_query(
    spark: SparkSession, config: GatewayConfig, sql: str, output_tokens: int | None, as_json: bool
) -> None:
    from gateway_batch.spark.estimates.query_estimate import estimate_query
    from gateway_batch.spark.gateway import register_ai_query

    with register_ai_query(spark, config) as registered:
        calls = estimate_query(registered, sql, output_tokens=output_tokens)
    if as_json:
        print(json.dumps([call.as_json() for call in calls]))
        return
    for call in calls:
        name = f"{call.function}({call.endpoint!r})"
        if call.estimate is None:
            output.print(f"{name}: not known, as its rows depend on other calls' answers", highlight=False)
        else:
            _show(name, call.estimate)
        for line in (*call.stands, *call.asked):
            output.print(f"- {line}", style="dim", highlight=False)


def _show(name: str, found: Estimate) -> None:
    title = f"{name}: {found.rows:,} rows to answer, {found.requests:,} different requests"
    if found.sampled:
        title += f", {found.sampled:,} of them answered as a sample"
    output.print(title, style="bold", highlight=False)
    output.print(_table(found))
    for line in found.assumptions:
        output.print(f"- {line}", style="dim", highlight=False)


def _table(found: Estimate) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("estimate", "from", "to") if found.sampled else ("estimate",):
        table.add_column(heading, justify="right")
    _add(table, "input tokens", found.input_tokens, ",.0f", found.sampled)
    _add(table, "output tokens", found.output_tokens, ",.0f", found.sampled)
    if found.cost_usd is None:
        table.add_row("cost", "not known")
    else:
        _add(table, "cost, USD", found.cost_usd, ",.4f", found.sampled)
    table.add_row("time", "not known" if found.seconds is None else f"{found.seconds:,.0f} s at least")
    return table


def _add(table: Table, name: str, interval: Interval, form: str, sampled: int) -> None:
    values = (interval.middle, interval.low, interval.high) if sampled else (interval.middle,)
    table.add_row(name, *(format(value, form) for value in values))
