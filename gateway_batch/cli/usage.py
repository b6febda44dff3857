"""`gateway-batch usage`: what was used, from the usage table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway_batch.cli.console import errors, output


def usage(
    by: Annotated[
        str, typer.Option(help="endpoint, model, requester, api, status, error, hour, or tag:NAME.")
    ] = "endpoint",
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("spark-warehouse"),
    usage_table: Annotated[str | None, typer.Option(help="The usage table; else the setting's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Report requests, failures, tokens and latencies from the usage table.

    Records that earlier runs left in the spool are committed first.

    Example: gateway-batch usage --by tag:project --warehouse demo/warehouse
    """
    from gateway_batch.cli.report import as_table
    from gateway_batch.config import GatewayConfig
    from gateway_batch.errors import ConfigError
    from gateway_batch.spark.gateway import Usage, spool_dir_of
    from gateway_batch.spark.quiet import quiet_session
    from gateway_batch.spark.reports import usage_by

    config = GatewayConfig.from_env(**({"usage_table": usage_table} if usage_table else {}))
    if not warehouse.is_dir():
        raise ConfigError(f"no such folder: {warehouse}; --warehouse names the folder of the tables")
    with quiet_session(warehouse, warehouse / "_gateway_batch" / "spark.log") as spark:
        ledger = Usage(spark, config.usage_table, spool_dir_of(spark, config))
        if (rows := ledger.flush()) and not as_json:
            errors.print(f"{rows:,} records of earlier runs committed", style="dim")
        if not spark.catalog.tableExists(config.usage_table):
            raise ConfigError(f"no usage table {config.usage_table} in {warehouse}: nothing was recorded there yet")
        rows_by_key = usage_by(spark, config.usage_table, by)
    if as_json:
        for row in rows_by_key:
            print(json.dumps(row, default=str))
    else:
        output.print(as_table(rows_by_key, f"Usage by {by}, {config.usage_table}"))
