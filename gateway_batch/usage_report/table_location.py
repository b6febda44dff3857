"""Where a usage table is: by its name in a local session's warehouse, or by its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway_batch.config import GatewayConfig, check_table_name
from gateway_batch.errors import ConfigError

_PRICES = "prices"
_SESSION_CATALOG = "spark_catalog"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a usage table is.

    Attributes:
        name: of the table, as people gave it.
        location: its folder, or a URL of it.
        prices: those of the table of prices next to it.
        is_named: whether it is known by a table's name, not by its folder.
    """

    name: str
    location: str
    prices: str
    is_named: bool


def is_location(table: str) -> bool:
    """Whether it is a path or URL of a folder, and no table's name."""
    return "/" in table or table.startswith((".", "~"))


def find_table(usage_table: str | None, warehouse: Path) -> tuple[Place, GatewayConfig]:
    """Where the usage table is that a report is asked of, and the settings in force, that table's name among them.

    Args:
        usage_table: its name, or its folder or URL; None: the setting's.
        warehouse: folder of the tables.

    Raises:
        ConfigError: a setting is wrong, or a table is named and there is no such folder.
    """
    if usage_table and is_location(usage_table):
        return place_of(usage_table, warehouse), GatewayConfig.from_env()
    config = GatewayConfig.from_env(**({"usage_table": usage_table} if usage_table else {}))
    if not warehouse.is_dir():
        raise ConfigError(f"no such folder: {warehouse}; warehouse names the folder of the tables")
    return place_of(config.usage_table, warehouse), config


def place_of(table: str, warehouse: Path) -> Place:
    """Where a table is.

    Args:
        table: its name, or its folder: a path, or a URL that deltalake understands.
        warehouse: folder of the tables of `gateway_batch.local_session`, whose layout a name goes by.

    Raises:
        ConfigError: it is neither, or no name of a table that a local session may have.
    """
    if "://" in table:
        parent, _, _ = table.rstrip("/").rpartition("/")
        return Place(table, table.rstrip("/"), f"{parent}/{_PRICES}", is_named=False)
    if is_location(table):
        folder = Path(table).expanduser().absolute()
        return Place(table, str(folder), str(folder.parent / _PRICES), is_named=False)
    return _named(table, warehouse)


def _named(table: str, warehouse: Path) -> Place:
    try:
        parts = check_table_name(table).lower().split(".")
    except ValueError as error:
        raise ConfigError(f"usage_table: {table!r} {error}, nor a path such as ./usage") from None
    if len(parts) == 3 and parts[0] == _SESSION_CATALOG:
        parts = parts[1:]
    if len(parts) == 3:
        raise ConfigError(
            f"usage_table: {table} is in a catalog that a local session does not have; name the table's folder, "
            "or ask where the catalog is known"
        )
    *schema, name = parts
    in_default = not schema or schema == ["default"]
    folder = (warehouse if in_default else warehouse / f"{schema[0]}.db").absolute()
    return Place(table, str(folder / name), str(folder / _PRICES), is_named=True)
