"""`gateway-batch serve`: the development gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback it needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8080,
    token: Annotated[
        str | None, typer.Option(envvar="GATEWAY_BATCH_SERVE_TOKEN", help="What callers must present; else anything.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="SQLite file of its usage; else one in a temporary folder.")
    ] = None,
    latency_ms: Annotated[float | None, typer.Option(min=0, help="From a request's arrival to its answer.")] = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute, of each service.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens a minute, of each service.")] = None,
    services: Annotated[
        Path | None,
        typer.Option(help="JSON file of services, their limits and faults (docs/real-answers.md)."),
    ] = None,
) -> None:
    """Run the development gateway: all routes of Databricks' AI gateway, with stand-in models.

    Example: gateway-batch serve --port 8080 --token secret --rpm 600
    """
    from gateway_batch import devgateway

    devgateway.serve(
        devgateway.Settings(
            host=host,
            port=port,
            token=token,
            ledger=ledger,
            latency_ms=latency_ms,
            rpm=rpm,
            tpm=tpm,
            services=devgateway.read_services(services) if services else {},
        )
    )
