"""`gateway-batch views`: the views of a usage table, as files or in a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway_batch.cli.console import errors, output
from gateway_batch.local_files.outputs import check_text, write_text

Table = Annotated[str, typer.Option(help="The usage table: ours, or system.ai_gateway.usage.")]
Schema = Annotated[str, typer.Option(help="Schema of the views and of the table of prices.")]
Billing = Annotated[bool, typer.Option("--billing", help="Also the views of system.billing, on Databricks.")]

app = typer.Typer(help="Views of a usage table: requests, tokens, latencies, costs, MCP servers, coding agents.")


@app.command()
def render(
    usage_table: Table = "ai_gateway.usage",
    schema: Schema = "ai_gateway",
    billing: Billing = False,
    out: Annotated[Path | None, typer.Option("--output", help="A folder; else to standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a statement.")] = False,
) -> None:
    """Write the statements that make the views, in their order; no Spark is started.

    List prices are not in them: the table of prices is made empty.

    Example: gateway-batch views render --usage-table system.ai_gateway.usage --schema main.ai_gateway --output sql
    """
    from gateway_batch.spark.analytics.view_files import MARK
    from gateway_batch.spark.analytics.views import statements

    made = statements(usage_table, schema, billing=billing)
    if out is not None:
        files = {out / f"{number:02}_{name}.sql": made[name] for number, name in enumerate(made)}
        for file in files:
            check_text(file, MARK)
        for file, statement in files.items():
            write_text(file, f"{statement.rstrip()};\n")
        errors.print(f"{len(made)} statements written to {out}")
    elif as_json:
        for name, statement in made.items():
            print(json.dumps({"name": name, "statement": statement}))
    else:
        print("\n".join(f"{statement.rstrip()};\n" for statement in made.values()), end="")


@app.command()
def deploy(
    usage_table: Table = "ai_gateway.usage",
    schema: Schema = "ai_gateway",
    billing: Billing = False,
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables, where no session is active.")] = Path(
        "spark-warehouse"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object.")] = False,
) -> None:
    """Make the views in the session that is active, as in a Databricks job, else in a local one.

    A local session without a metastore forgets views as it ends; there this checks that they can be made, and fills the
    table of prices. In a program call gateway_batch.create_views.

    Example: gateway-batch views deploy --usage-table system.ai_gateway.usage --schema main.ai_gateway
    """
    from gateway_batch.spark.analytics.views import create_views, session_for

    with session_for(warehouse) as (spark, keeps_views):
        names = create_views(spark, usage_table, schema, billing=billing)
    if as_json:
        print(json.dumps({"views": names, "kept": keeps_views}))
        return
    output.print(f"{len(names)} views of {usage_table} made in {schema}")
    if not keeps_views:
        errors.print("this session has no metastore: its views ended with it, the table of prices is kept", style="dim")
