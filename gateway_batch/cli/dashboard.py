"""`gateway-batch dashboard`: what was used, as a page for a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway_batch.cli.console import output


def dashboard(
    out: Annotated[Path, typer.Option("--output", help="The HTML file; replaced if it is there.")] = Path("usage.html"),
    usage_table: Annotated[str, typer.Option(help="The usage table: ours, or system.ai_gateway.usage.")] = (
        "ai_gateway.usage"
    ),
    schema: Annotated[str, typer.Option(help="Schema of the aggregate and of the table of prices.")] = "ai_gateway",
    days: Annotated[int, typer.Option(min=1, help="Days, the last of them with usage.")] = 56,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Of the file: above it, what is used least is shown as one.")
    ] = 3_000_000,
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables, where no session is active.")] = Path(
        "spark-warehouse"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the usage dashboard as one HTML file: pages with filters, for any browser, from disk, with no network.

    It needs pip install 'gateway-batch[dashboard]'.

    Example: gateway-batch dashboard --output usage.html --warehouse demo/warehouse
    """
    from gateway_batch.dashboard.write import write_dashboard
    from gateway_batch.spark.analytics.views import session_for

    with session_for(warehouse) as (spark, _):
        file = write_dashboard(spark, out, usage_table, schema, days=days, max_bytes=max_bytes)
    size = file.stat().st_size
    if as_json:
        print(json.dumps({"file": str(file), "bytes": size}))
    else:
        output.print(f"{file}: {size / 1e6:.1f} MB; open it in a browser")
