"""`gateway-batch config`: the settings in force, and whether they work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from gateway_batch.cli.console import output

if TYPE_CHECKING:
    from gateway_batch.config import GatewayConfig

_FAILED = 1


def config(
    check: Annotated[
        bool, typer.Option("--check", help="Try gateway, tokens, endpoints, spool, usage table and coordination.")
    ] = False,
    warehouse: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("spark-warehouse"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Show each setting with where it comes from; tokens are shown as references, or as ***.

    With --check each part is tried, a line for each. Each endpoint is asked one tiny question, which costs a few tokens
    and has its record in the usage table. A server that lists its models is asked whether it has an endpoint's. The
    exit code is 1 where one of them fails.

    Example: gateway-batch config --check
    """
    from gateway_batch.config import GatewayConfig
    from gateway_batch.config.effective import effective, text_of

    settings = GatewayConfig.from_env()
    if check:
        _check(settings, warehouse, as_json)
        return
    found = effective(settings)
    if as_json:
        for each in found:
            print(json.dumps({"name": each.name, "value": each.value, "source": each.source}))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("setting", "value", "from"):
        table.add_column(heading, overflow="fold")
    for each in found:
        style = "dim" if each.source == "default" else ""
        table.add_row(each.name, Text(text_of(each) or "-"), each.source, style=style)
    output.print(table)


def _check(settings: GatewayConfig, warehouse: Path, as_json: bool) -> None:
    from gateway_batch.cli.config_checks import run_checks

    failed = False
    for each in run_checks(settings, warehouse):
        failed |= not each.ok
        if as_json:
            print(json.dumps({"name": each.name, "ok": each.ok, "says": each.says}))
        else:
            mark = Text("ok  ", style="green") if each.ok else Text("fail", style="bold red")
            output.print(mark, Text(each.name, style="bold"), each.says, soft_wrap=True)
    if failed:
        raise typer.Exit(_FAILED)
