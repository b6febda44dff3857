"""What stands for a setting that is not given, where that depends on the machine."""

from __future__ import annotations

import getpass
from pathlib import Path

from gateway_batch.config.settings import GatewayConfig

WAREHOUSE = "spark-warehouse"
"""Folder of a local session's tables, in the working directory."""


def spool_folder(config: GatewayConfig, warehouse: str | Path = WAREHOUSE) -> Path:
    """The spool folder of the settings, or the one in a warehouse on this machine."""
    return Path(config.spool_dir or Path(warehouse) / "_gateway_batch" / "spool").expanduser().absolute()


def system_user() -> str | None:
    """Who runs this process; None where the system has no name for it, as in some containers."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return None
