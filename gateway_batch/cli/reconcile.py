"""`gateway-batch reconcile`: the usage table against a gateway's own record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gateway_batch.cli.console import errors, output
from gateway_batch.cli.usage import UsageTable, Warehouse, ledger_in


def reconcile(
    ledger: Annotated[
        str,
        typer.Argument(
            help="The gateway's own record: a development gateway's file, an exported CSV, JSON-lines or Parquet file, "
            "or a table with the columns of system.ai_gateway.usage."
        ),
    ],
    where: Annotated[
        str | None, typer.Option(help="A condition on its rows, in SQL: the part of it that is yours.")
    ] = None,
    event_id_tag: Annotated[
        str | None, typer.Option(help="The request tag that has our event ids; else the setting's.")
    ] = None,
    warehouse: Warehouse = Path("spark-warehouse"),
    usage_table: UsageTable = None,
    examples: Annotated[int, typer.Option(min=0, help="How many requests of each class to show.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the usage table with a gateway's own record. Exit code 0 only if the two reconcile.

    Records that earlier runs left in the spool are committed first.

    Example: gateway-batch reconcile demo/devgateway.sqlite --warehouse demo/warehouse
    """
    from gateway_batch.cli.terminal_tables import as_table, classes_table
    from gateway_batch.spark.ledger.reconcile import count_classes

    with ledger_in(warehouse, usage_table) as (spark, ours):
        ours.flush()
        tag = event_id_tag or ours.event_id_tag
        found = count_classes(spark, ours.table, ledger, where=where, event_id_tag=tag, examples=examples)
    if as_json:
        print(
            json.dumps(
                {"agree": found.reconciles, "matched": found.matched, **found.counts, "examples": found.examples}
            )
        )
    else:
        output.print(classes_table(found))
        if found.examples:
            output.print(as_table([_shown(example) for example in found.examples], "examples"))
        if found.reconciles:
            output.print("The usage table reconciles with the gateway's record.", style="bold green")
    if not found.reconciles:
        errors.print(
            "the usage table and the gateway's record differ: a class above that must be empty is not", style="bold red"
        )
        raise typer.Exit(1)


def _shown(example: Mapping[str, object]) -> dict[str, object]:
    """A request of one class on a line: what differs, or what the side has that knows it."""
    ours, theirs = example["ours"] or {}, example["theirs"] or {}
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    names = example["differences"] or ["request_id", "endpoint_name", "status_code"]
    assert isinstance(names, list)
    return {
        "class": str(example["class"]).replace("_", " "),
        "event id": example["event_id"],
        "ours": ", ".join(f"{name} {ours[name]}" for name in names if name in ours),
        "theirs": ", ".join(f"{name} {theirs[name]}" for name in names if name in theirs),
    }
