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
    models: Annotated[
        str,
        typer.Option(
            help="stand-in: code that answers with parts of the prompt, thousands of rows a minute; "
            "local: small real models on this machine, some 20 tokens a second, of the extra 'local'."
        ),
    ] = "stand-in",
) -> None:
    """Run the development gateway: all routes of Databricks' AI gateway, with stand-in or small real models.

    Example: gateway-batch serve --port 8080 --token secret --rpm 600
    """
    from gateway_batch import devgateway
    from gateway_batch.cli.gateways import models_named

    devgateway.serve(
        devgateway.Settings(
            host=host,
            port=port,
            token=token,
            ledger=ledger,
            latency_ms=latency_ms,
            rpm=rpm,
            tpm=tpm,
            models=models_named(models),
            services=devgateway.read_services(services) if services else {},
        )
    )
