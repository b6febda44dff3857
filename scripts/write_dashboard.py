"""Writes the Databricks dashboard from its definition. `--check` only compares them."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway_batch.dashboard.lakeview import dashboard_text

FILE = Path(__file__).parent.parent / "sql" / "dashboard" / "ai_gateway_usage.lvdash.json"

if __name__ == "__main__":
    if "--check" in sys.argv:
        current = FILE.is_file() and FILE.read_text(encoding="utf-8") == dashboard_text()
        sys.exit(0 if current else f"{FILE.name} is out of date: run {sys.argv[0]}")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(dashboard_text(), encoding="utf-8")
