"""`gateway-batch usage`: what was used, from the usage table; and what keeps that table in order."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway_batch.cli.console import errors, output

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from gateway_batch.config import GatewayConfig
    from gateway_batch.spark.gateway import Usage

Warehouse = Annotated[Path, typer.Option(help="Folder of the tables.")]
UsageTable = Annotated[str | None, typer.Option(help="The usage table; else the setting's.")]

_HERE = Path("spark-warehouse")

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)


@app.callback()
def usage(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            help="endpoint, model, requester, tag:KEY, status, hour, day, workspace, api, source, error, agent, "
            "framework, router, or session."
        ),
    ] = "endpoint",
    since: Annotated[
        str | None, typer.Option(help="From this time on: 7d or 24h ago, a UTC date, or an ISO time.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this time, given likewise.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Rows at most: those of most requests, or the latest.")
    ] = None,
    warehouse: Warehouse = _HERE,
    usage_table: Annotated[
        str | None, typer.Option(help="The usage table, or the folder or URL of one; else the setting's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Report requests, failures, tokens, latencies and costs from the usage table, as the usage views have them.

    No Spark is started. Days and hours are UTC; --json and --csv have all figures, money as a decimal text.

    Example: gateway-batch usage --by tag:project --since 7d --warehouse demo/warehouse
    """
    if context.invoked_subcommand is not None:
        return
    from gateway_batch.cli.usage_table import csv_text, json_lines
    from gateway_batch.cli.usage_table import usage_table as as_usage_table
    from gateway_batch.usage_report import find_table, key_of, period_of

    if as_json and as_csv:
        raise typer.BadParameter("--json or --csv, not both", param_hint="--csv")
    key, period = key_of(by), period_of(since, until, datetime.now(UTC))
    place, config = find_table(usage_table, warehouse)

    from gateway_batch.usage_report.report import usage_report
    from gateway_batch.usage_report.source import last_transaction

    if place.is_named:
        _tell_waiting(config, warehouse, partial(last_transaction, place))
    report = usage_report(place, key, period)
    rows = report.first_rows(limit)
    if as_json:
        for line in json_lines(report, rows):
            print(line)
    elif as_csv:
        print(csv_text(report, rows), end="")
    else:
        output.print(as_usage_table(report, rows, name=place.name, period=period, width=output.width))


def _tell_waiting(config: GatewayConfig, warehouse: Path, last_transaction: Callable[[str], int | None]) -> None:
    """Says what waits in the spool; the report is printed also for those who may not read that."""
    from gateway_batch.cli.spool_lines import lines_about
    from gateway_batch.config import spool_folder
    from gateway_batch.errors import ConfigError, LedgerError
    from gateway_batch.usage.shipping import local_folder_for
    from gateway_batch.usage.spool_backlog import backlog_of

    spool_dir, table = spool_folder(config, warehouse), config.usage_table
    try:
        local = local_folder_for(spool_dir, config.spool_local_dir)
        lines = lines_about(backlog_of(spool_dir, table, last_transaction, local), table)
    except (ConfigError, LedgerError) as error:
        lines = [str(error)]
    for line in lines:
        errors.print(line, style="dim", markup=False, soft_wrap=True)


@app.command()
def flush(warehouse: Warehouse = _HERE, usage_table: UsageTable = None) -> None:
    """Commit what is in the spool for the usage table, as a scheduled job may.

    Records that are for other tables stay there, and are named.

    Example: gateway-batch usage flush --warehouse demo/warehouse
    """
    from gateway_batch.cli.spool_lines import lines_about

    with ledger_in(warehouse, usage_table) as (_, ledger):
        output.print(f"{ledger.flush():,} records committed to {ledger.table}")
        for line in lines_about(ledger.waiting(), ledger.table):
            errors.print(line, style="dim", markup=False, soft_wrap=True)


@app.command()
def maintain(
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Delete records that are older, in days; none are, by default.")
    ] = None,
    warehouse: Warehouse = _HERE,
    usage_table: UsageTable = None,
) -> None:
    """Join the usage table's small files, and remove what it no longer needs.

    Example: gateway-batch usage maintain --keep-days 400 --warehouse demo/warehouse
    """
    from gateway_batch.spark.analytics.maintenance import maintain as maintain_table

    with ledger_in(warehouse, usage_table) as (spark, ledger):
        ledger.flush()
        done = maintain_table(spark, ledger.table, keep_days)
    output.print(
        f"{ledger.table}: {done.files_before:,} files joined to {done.files_after:,}, {done.deleted:,} records deleted"
    )


@app.command()
def refresh(
    usage_table: Annotated[str, typer.Option(help="The usage table: ours, or system.ai_gateway.usage.")] = (
        "ai_gateway.usage"
    ),
    schema: Annotated[str, typer.Option(help="Schema of the views and of the aggregate.")] = "ai_gateway",
    everything: Annotated[bool, typer.Option("--all", help="Compute all days anew.")] = False,
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables, where no session is active.")] = _HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring the aggregate up to date that the usage views and the dashboard read instead of the table's rows.

    It costs as much as reading the days that have new rows. A day is taken up three hours after its end, UTC. The views
    are made too; in the session that is active, as in a Databricks job, else in a local one.

    Example: gateway-batch usage refresh --usage-table system.ai_gateway.usage --schema main.ai_gateway
    """
    from gateway_batch.spark.analytics.usage_refresh import refresh_usage
    from gateway_batch.spark.analytics.views import session_for

    with session_for(warehouse) as (spark, _):
        done = refresh_usage(spark, usage_table, schema, everything=everything)
    if as_json:
        days = [str(day) for day in done.days]
        print(json.dumps({"days": days, "invocations": done.invocations, "complete_before": str(done.complete_before)}))
        return
    new = f"{len(done.days):,} days computed from {done.invocations:,} rows" if done.days else "nothing new"
    output.print(f"{schema}: {new}; days before {done.complete_before} are in the aggregate")


@app.command(name="import")
def import_(
    ledger: Annotated[
        str,
        typer.Argument(
            help="The gateway's own record: a development gateway's file, an exported CSV, JSON-lines or Parquet file, "
            "or a table such as system.ai_gateway.usage."
        ),
    ],
    where: Annotated[str | None, typer.Option(help="A condition on its rows, in SQL.")] = None,
    warehouse: Warehouse = _HERE,
    usage_table: UsageTable = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Add other clients' requests from a gateway's own record to the usage table, each once.

    Requests of ai_query and gb.Client are left out: they record themselves. It may be run again and again.

    Example: gateway-batch usage import demo/devgateway.sqlite --warehouse demo/warehouse
    """
    with ledger_in(warehouse, usage_table) as (_, ours):
        rows = ours.import_ledger(ledger, where)
    if as_json:
        print(json.dumps({"imported": rows, "table": ours.table}))
    else:
        output.print(f"{rows:,} requests of other clients imported into {ours.table}")


@contextlib.contextmanager
def ledger_in(warehouse: Path, usage_table: str | None) -> Iterator[tuple[SparkSession, Usage]]:
    """The active session, as in a Databricks job, else one of its own, and the ledger of its warehouse.

    Raises:
        ConfigError: there is no such folder, or the one of this host in the temporary folder is another user's.
    """
    from gateway_batch.config import GatewayConfig
    from gateway_batch.spark.analytics.views import session_for
    from gateway_batch.spark.gateway import Usage, spool_dir_of
    from gateway_batch.usage.shipping import local_folder_for

    config = GatewayConfig.from_env(**({"usage_table": usage_table} if usage_table else {}))
    with session_for(warehouse) as (spark, _):
        spool_dir = spool_dir_of(spark, config)
        local = local_folder_for(spool_dir, config.spool_local_dir)
        yield spark, Usage(spark, config.usage_table, spool_dir, local_dir=local, event_id_tag=config.event_id_tag)
