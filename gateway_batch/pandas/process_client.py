"""The one client that all Series of a process call through."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field

from gateway_batch.client import Client
from gateway_batch.config import GatewayConfig
from gateway_batch.errors import ConfigError


@dataclass
class _Shared:
    """What `configure` was given last, and the client opened from it, with its process."""

    config: GatewayConfig | None = None
    given: Client | None = None
    progress: bool | None = None
    opened: Client | None = None
    process: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


_shared = _Shared()


def configure(
    config: GatewayConfig | None = None, *, client: Client | None = None, progress: bool | None = None
) -> None:
    """Says how Series call from now on; without arguments, as at first.

    A client that was opened for the calls before is closed, and with it the calls that other threads have under way.

    Args:
        config: settings of the client that the next call opens; None reads the environment.
        client: a client to call through in its place; closing it stays the caller's.
        progress: whether calls show a progress bar; None: in a terminal or a notebook.

    Raises:
        ConfigError: both a config and a client are given.
    """
    if config is not None and client is not None:
        raise ConfigError("configure: takes a config or a client, not both")
    with _shared.lock:
        opened, _shared.opened = _shared.opened, None
        _shared.config, _shared.given, _shared.progress = config, client, progress
    if opened is not None:
        opened.close()


def shared_client() -> Client:
    """The client that Series call through, opened where none is open; it is closed when the process ends.

    Raises:
        ConfigError: a setting is wrong.
        LedgerError: the spool folder can't be written.
        RuntimeError: this process was forked from one that has called: the HTTP library can't start again in it.
    """
    with _shared.lock:
        if _shared.given is not None:
            return _shared.given
        if _shared.opened is None or _shared.process != os.getpid():
            _shared.opened, _shared.process = Client(_shared.config), os.getpid()
        return _shared.opened


def shows_progress() -> bool | None:
    """What `configure` was given for progress bars."""
    return _shared.progress
