"""The settings in force, where each comes from, and no secret among them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from gateway_batch.config.credentials import credential_reference
from gateway_batch.config.settings import PREFIX, EndpointConfig, GatewayConfig

DEFAULT = "default"

_HIDDEN = "***"
_OF_DATABRICKS = {"host": "DATABRICKS_HOST", "token": "DATABRICKS_TOKEN"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting.

    Attributes:
        name: of the field.
        value: as JSON has it; a token is its reference (`env:NAME`, `file:PATH`), or `***` where it is given by value.
        source: the environment variable it is from, or `default`.
    """

    name: str
    value: Any
    source: str


def effective(config: GatewayConfig) -> list[Setting]:
    """The settings of `GatewayConfig.from_env()`, in the order of its fields."""
    shown = config.model_dump(mode="json", exclude={"token", "endpoints", "coordination"})
    shown["token"] = _reference(config.token, "token")
    shown["endpoints"] = {
        name: {field: value for field, value in _shown(endpoint).items() if value != {}}
        | ({"token": _reference(endpoint.token, f"endpoints.{name}.token")} if endpoint.token is not None else {})
        for name, endpoint in config.endpoints.items()
    }
    shown["budget"] = config.budget.model_dump(mode="json", exclude_none=True)
    shown["coordination"] = _masked(config.coordination_reference())
    return [Setting(name, shown[name], _source(name)) for name in type(config).model_fields]


def text_of(setting: Setting) -> str:
    """A setting's value on one line; empty where it is not set."""
    if setting.value is None or setting.value in ({}, []):
        return ""
    return setting.value if isinstance(setting.value, str) else json.dumps(setting.value, ensure_ascii=False)


def _shown(endpoint: EndpointConfig) -> dict[str, Any]:
    """All of it but the token; what headers and query parameters refer to stays behind the reference."""
    return endpoint.model_dump(mode="json", exclude={"token"}, exclude_none=True)


def _source(name: str) -> str:
    variables = (f"{PREFIX}{name}".upper(), _OF_DATABRICKS.get(name, ""))
    return next((variable for variable in variables if os.environ.get(variable)), DEFAULT)


def _reference(token: SecretStr | None, where: str) -> str | None:
    return None if token is None else _masked(credential_reference(token.get_secret_value(), where))


def _masked(reference: str) -> str:
    return _HIDDEN if reference.startswith("value:") else reference
