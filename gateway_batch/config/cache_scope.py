"""How far answers reach: the setting `cache`."""

from __future__ import annotations

import re

_RUN = re.compile(r"run:([A-Za-z0-9_-][A-Za-z0-9_.-]{0,99})", re.ASCII)


def check_cache(setting: str) -> str:
    """The setting, if it is one.

    Raises:
        ValueError: it is none.
    """
    if setting in ("query", "off") or run_of(setting) is not None:
        return setting
    raise ValueError("is not query, off or run:NAME, the name of letters, digits, _, - and dots (at most 100)")


def run_of(setting: str) -> str | None:
    """The name of the run whose answers are shared; None if it is no run."""
    found = _RUN.fullmatch(setting)
    return found[1] if found else None
