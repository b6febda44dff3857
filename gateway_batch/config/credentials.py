"""Tokens by reference. Values stay out of everything that is pickled, planned, logged or shown.

A setting's token is `env:NAME`, `file:PATH`, `databricks-sdk`, or the value itself. Plans and settings carry a
reference; a value given in code becomes `value:<where>`, and its value travels apart from the plan. Secrets in an
endpoint's headers and query are references only (`extra_fields`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gateway_batch.config.databricks_login import Login
from gateway_batch.config.extra_fields import check_value
from gateway_batch.errors import ConfigError

LOGIN = "databricks-sdk"
"""A token setting that stands for databricks-sdk's own authentication."""

_UNSUPPORTED = ("{{secrets/", "secret:")


def credential_reference(token: str, where: str) -> str:
    """The reference that stands for a token setting in plans.

    Args:
        token: the setting: a value, `env:NAME`, `file:PATH` or `databricks-sdk`.
        where: the name of the setting, for a token given by value.
    """
    if token.startswith(_UNSUPPORTED):
        raise ConfigError(
            f"{where}: Databricks secret references are not supported yet: read the secret with dbutils and "
            "pass its value, or use env:NAME or file:PATH"
        )
    return token if token == LOGIN or token.startswith(("env:", "file:")) else f"value:{where}"


def check_token(token: str, where: str) -> None:
    """Refuses a token that can't stand in a header."""
    if not token or not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
        raise ConfigError(f"{where}: the token is empty or has spaces or characters that no HTTP header can carry")


def check_field(value: str, where: str) -> None:
    """Refuses a secret that can't stand in a header of any form; unlike a token, it may have spaces inside."""
    try:
        check_value(value, where)
    except ValueError as error:
        raise ConfigError(str(error)) from None


class Credentials:
    """Resolves references to token values, in the process that needs them.

    Args:
        values: what the driver could resolve, by reference. A file is read where it is used, each time anew.
        logs_in: whether one of them is databricks-sdk's own authentication.
    """

    def __init__(self, values: Mapping[str, str] | None = None, *, logs_in: bool = False) -> None:
        self._values = dict(values or {})
        self._logs_in = logs_in
        self._login: Login | None = None

    @classmethod
    def of(cls, tokens: Mapping[str, str], fields: Iterable[str] = ()) -> Credentials:
        """Takes values and the environment's variables.

        Args:
            tokens: maps the setting's name to the setting.
            fields: references in headers and query parameters.
        """
        values = {}
        for where, token in tokens.items():
            reference = credential_reference(token, where)
            if reference.startswith("value:"):
                check_token(token, where)
                values[reference] = token
            elif reference.startswith("env:") and (value := os.environ.get(reference[4:])):
                check_token(value, reference)
                values[reference] = value
        for reference in fields:
            if reference.startswith("env:") and (value := os.environ.get(reference[4:])):
                check_field(value, reference)
                values[reference] = value
        return cls(values, logs_in=LOGIN in tokens.values())

    def resolve(self, reference: str) -> str:
        """The token's value, as it is now: files are read and logins renewed.

        Raises:
            ConfigError: the variable is not set, the file can't be read, the login fails, or the value can't stand in a
                header.
        """
        if reference == LOGIN:
            return self._logged_in().token()
        return self._found(reference, "token", check_token)

    def resolve_field(self, reference: str) -> str:
        """The value that a header or a query parameter refers to, as it is now.

        Raises:
            ConfigError: as `resolve`.
        """
        return self._found(reference, "value", check_field)

    def _found(self, reference: str, what: str, check: Callable[[str, str], None]) -> str:
        if (value := self._values.get(reference)) is not None:
            return value
        scheme, _, rest = reference.partition(":")
        if scheme == "value":
            raise ConfigError(f"no token: the value of the setting {rest} is not known in this process")
        value = os.environ.get(rest) if scheme == "env" else _read(rest, what)
        if value is None:
            raise ConfigError(f"no {what}: the environment variable {rest} is not set")
        check(value, reference)
        return value

    def _logged_in(self) -> Login:
        if self._login is None:
            self._login = Login(self._values.get(LOGIN))
        return self._login

    def values(self) -> dict[str, str]:
        """The values that travel to workers, apart from the plan.

        Raises:
            ConfigError: there is nothing to log in by.
        """
        return self._values | ({LOGIN: self._logged_in().carried()} if self._logs_in else {})

    def __repr__(self) -> str:
        return f"Credentials({', '.join(f'{reference}=***' for reference in self._values)})"


def _read(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"no {what}: {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"no {what}: {path} is not text") from None
