"""Tokens from databricks-sdk's own authentication: OAuth of service principals, cloud identities, profiles.

The package `databricks.sdk` is loaded by the first login. It renews a token in a thread of its own before it expires.
"""

from __future__ import annotations

import json
from typing import Any

from gateway_batch.errors import ConfigError

_BEARER = "Bearer "
_CARRIED = (
    "host", "auth_type", "client_id", "client_secret", "account_id",
    "azure_client_id", "azure_client_secret", "azure_tenant_id", "azure_workspace_resource_id", "azure_environment",
    "google_service_account", "google_credentials",
)  # fmt: skip
"""Attributes of the SDK's configuration that another process logs in by, where it lacks this one's environment."""


class Login:
    """Gives tokens, each time one that holds.

    Args:
        attributes: as `carried` gives them; None: as the SDK finds them in this process.

    Raises:
        ConfigError: the package is missing, or there is nothing to log in by.
    """

    def __init__(self, attributes: str | None = None) -> None:
        try:
            from databricks.sdk.core import Config
        except ImportError:
            raise ConfigError(
                "token: databricks-sdk is not installed: pip install 'gateway-batch[databricks]', on the workers too"
            ) from None
        given: dict[str, Any] = json.loads(attributes) if attributes else {}
        try:
            self._config = Config(**given)
        except Exception as error:  # its own kinds, and those of the packages behind it
            raise ConfigError(f"token: databricks-sdk has nothing to log in by: {_first_line(error)}") from None

    def token(self) -> str:
        """A bearer token.

        Raises:
            ConfigError: the login fails, or gives no bearer token.
        """
        try:
            headers = self._config.authenticate()
        except Exception as error:
            raise ConfigError(f"token: databricks-sdk can't log in: {_first_line(error)}") from None
        value = headers.get("Authorization", "")
        if not value.startswith(_BEARER):
            raise ConfigError(f"token: databricks-sdk's {self._config.auth_type} gives no bearer token")
        return value.removeprefix(_BEARER)

    def carried(self) -> str:
        """What another process logs in by: a secret."""
        found = self._config.as_dict()
        return json.dumps({name: found[name] for name in _CARRIED if found.get(name)})


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
