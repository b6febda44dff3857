"""What several commands take, read from the text that was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gateway_batch.errors import ConfigError

if TYPE_CHECKING:
    from gateway_batch.cli.gateways import Choice


def named_path(text: str) -> tuple[str, Path]:
    """The name and the path of `NAME=PATH`, which exists.

    Raises:
        ConfigError: there is no such file or folder.
    """
    name, separator, path = text.partition("=")
    if not separator or not name.isidentifier() or not path:
        raise typer.BadParameter(f"{text!r} is not NAME=PATH", param_hint="--input")
    if not Path(path).exists():  # said before Spark has started
        raise ConfigError(f"no such file or folder: {path}")
    return name, Path(path)


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """A JSON object; None for none."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is no JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter("is no JSON object", param_hint=option)
    return value


def gateway_choice(text: str) -> Choice:
    """Which gateway `--gateway` names."""
    from gateway_batch.cli.gateways import Choice

    if text not in set(Choice):
        raise typer.BadParameter("one of auto, env, dev", param_hint="--gateway")
    return Choice(text)
