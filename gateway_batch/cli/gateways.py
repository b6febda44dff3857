"""Which gateway a command talks to: the configured one, or a development gateway of its own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from gateway_batch import devgateway
from gateway_batch.config import GatewayConfig


class Choice(StrEnum):
    """`auto` is `env` where a gateway is configured, else `dev`."""

    AUTO = "auto"
    ENV = "env"
    DEV = "dev"


def models_named(name: str) -> devgateway.Models:
    """The models of an option `--models`.

    Raises:
        BadParameter: there are no such ones.
    """
    if name not in tuple(devgateway.Models):
        raise typer.BadParameter(f"one of {', '.join(devgateway.Models)}", param_hint="--models")
    return devgateway.Models(name)


@contextlib.contextmanager
def chosen(
    choice: Choice, ledger: Path, models: devgateway.Models = devgateway.Models.STAND_IN, **settings: Any
) -> Iterator[tuple[GatewayConfig, devgateway.RunningGateway | None]]:
    """The settings to register with, and the development gateway if one was started.

    Args:
        choice: which gateway.
        ledger: where a development gateway keeps its record; kept, so that several runs reconcile.
        models: of a development gateway.
        settings: of `GatewayConfig`, before the environment's.
    """
    if choice is not Choice.DEV:
        config = GatewayConfig.from_env(**settings)
        if choice is Choice.ENV or config.host is not None or config.endpoints:
            yield config, None
            return
    token = secrets.token_urlsafe(16)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with devgateway.running(devgateway.Settings(port=0, token=token, ledger=ledger, models=models)) as gateway:
        yield GatewayConfig.from_env(host=gateway.host, token=token, **settings), gateway
