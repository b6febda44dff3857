"""What tasks share limits and answers through: the setting `coordination`, and the Redis URL it may stand for.

A URL with a user or a password is a secret and handled as tokens are: settings and plans carry its reference.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from gateway_batch.config.credentials import Credentials, credential_reference
from gateway_batch.errors import ConfigError

HOST, DRIVER = "host", "driver"

_WHERE = "coordination"
_SCHEMES = ("redis", "rediss", "unix")
_REFERENCES = ("env:", "file:")
_WITHOUT_SECRET = re.compile(
    r"rediss?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d+)?(/\d*)?|unix:///[\w./-]+(\?db=\d+)?", re.ASCII
)
_EXPECTED = "is not host, driver, a URL such as redis://host:6379/0 or unix:///run/redis.sock, env:NAME or file:PATH"


def check_coordination(setting: Any) -> str | SecretStr:
    """The setting, kept from being shown where it may hold a password.

    Raises:
        ValueError: it is none. The text doesn't show it.
    """
    text = setting.get_secret_value() if isinstance(setting, SecretStr) else setting
    if not isinstance(text, str) or not (text in (HOST, DRIVER) or text.startswith(_REFERENCES) or _is_url(text)):
        raise ValueError(_EXPECTED)
    return SecretStr(text) if is_credential(text) and not text.startswith(_REFERENCES) else text


def is_credential(setting: str) -> bool:
    """Whether the setting is a URL that may hold a password, or refers to a URL."""
    return setting not in (HOST, DRIVER) and _WITHOUT_SECRET.fullmatch(setting) is None


def coordination_reference(setting: str) -> str:
    """What stands for the setting in plans: itself, or a reference where it may hold a password."""
    return credential_reference(setting, _WHERE) if is_credential(setting) else setting


def is_redis(coordination: str) -> bool:
    """Whether a setting, or what stands for it, means Redis."""
    return coordination not in (HOST, DRIVER)


def redis_url(coordination: str, credentials: Credentials) -> str:
    """The URL that `coordination_reference` stands for. Keep it in this process.

    Raises:
        ConfigError: the reference can't be resolved here, or what it stands for is no Redis URL.
    """
    if not is_credential(coordination):
        return coordination
    url = credentials.resolve(coordination)
    if not _is_url(url):
        raise ConfigError(f"{_WHERE}: {coordination} holds no Redis URL such as redis://host:6379/0")
    return url


def _is_url(text: str) -> bool:
    if any(c.isspace() or not c.isprintable() for c in text) or not text.isascii():
        return False
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    if url.scheme not in _SCHEMES or url.fragment or port == 0:
        return False
    return len(url.path) > 1 if url.scheme == "unix" else bool(url.hostname) and bool(re.fullmatch(r"/?\d*", url.path))
