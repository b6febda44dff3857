"""How SQL spells texts and names."""

from __future__ import annotations

NOT_IN_PARQUET = frozenset(" ,;{}()\n\t=")
"""Characters that a Delta table has in names of columns only where it maps them to others."""


def literal(text: str) -> str:
    """A text as SQL spells it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A table's or schema's name with each part quoted."""
    return ".".join(f"`{part}`" for part in name.split("."))
