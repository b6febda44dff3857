"""How SQL spells texts and names."""

from __future__ import annotations


def literal(text: str) -> str:
    """A text as SQL spells it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """A table's or schema's name with each part quoted."""
    return ".".join(f"`{part}`" for part in name.split("."))
