"""Writes docs/configuration.md from the settings' own fields. `--check` only compares them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway_batch.config import Budget, EndpointConfig, GatewayConfig, PriceConfig

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
INTRODUCTION = """\
# Settings

Written by `scripts/write_configuration_doc.py` from the fields themselves.

Keyword arguments of `gb.GatewayConfig.from_env(...)` come first, then the environment: `GATEWAY_BATCH_<NAME>` in
capitals, JSON for `endpoints`, `request_tags` and `budget`. `host` and `token` are also `DATABRICKS_HOST` and
`DATABRICKS_TOKEN`.
A setting that doesn't exist, a wrong value, and an unknown `GATEWAY_BATCH_` variable are refused with their names.
"""


def _default(value: Any) -> str:
    if value is PydanticUndefined or value is None or value == {} or value == Budget():
        return "-"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _table(model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_default(field.default)} | {field.description} |" for name, field in model.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def page() -> str:
    """The page's text."""
    parts = [
        _table(GatewayConfig),
        "## `budget`",
        _table(Budget),
        "## An entry of `endpoints`",
        _table(EndpointConfig),
        "## Its `prices`",
        _table(PriceConfig),
    ]
    return "\n\n".join([INTRODUCTION.rstrip("\n"), *parts]) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE.name} is out of date: run {sys.argv[0]}")
    PAGE.write_text(page(), encoding="utf-8")
