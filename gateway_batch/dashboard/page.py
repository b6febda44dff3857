"""The usage dashboard as one HTML file, which works from disk and loads nothing from a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import json
from dataclasses import asdict
from datetime import UTC
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from gateway_batch.dashboard.column_encoding import pack
from gateway_batch.dashboard.cube import UsageCube
from gateway_batch.dashboard.cube_arrays import flatten
from gateway_batch.dashboard.definition import (
    DIMENSIONS,
    FILTERS,
    PAGES,
    HeatMap,
    Note,
    Only,
    Sessions,
    Table,
    Tile,
    Trend,
    Widget,
)
from gateway_batch.dashboard.fold_levels import OTHER, Folded, folded
from gateway_batch.dashboard.measures import MEASURES
from gateway_batch.errors import ConfigError
from gateway_batch.figures import outcomes
from gateway_batch.figures.percentiles import GROWTH

TITLE = "AI gateway usage"
MAX_BYTES = 3_000_000

_LONGEST_ID = 100  # callers name sessions, as long as they like

_SCRIPTS = ("dom", "format", "unpack", "engine", "state", "charts", "filters", "parts", "tables", "widgets", "main")
_STYLES = ("theme", "filters", "cards", "tables", "media")
_NOTHING = {
    Only.ALL: "usage",
    Only.MCP: "MCP calls",
    Only.AGENTS: "calls of coding agents",
    Only.FRAMEWORKS: "calls of agents whose framework is known",
    Only.ROUTED: "calls that a smart router sent on",
}
_NAMES = {
    "requester": ("requester", "requesters"),
    "request_tags": ("set of tags", "sets of tags"),
    "model": ("model", "models"),
    "mcp_tool": ("tool", "tools"),
    "endpoint_name": ("endpoint", "endpoints"),
    "workspace_id": ("workspace", "workspaces"),
}


def render_page(cube: UsageCube, *, max_bytes: int = MAX_BYTES) -> str:
    """The page, UTF-8.

    Args:
        cube: what it shows.
        max_bytes: its size. Where it would be larger, latencies are kept in coarser buckets, then the requesters with
            the least use are shown as one, then sets of tags, models, tools, endpoints and workspaces. The page says
            so.

    Raises:
        ConfigError: the charts' library is not installed, or the page can't be made so small.
    """
    frame = len(_filled(cube, Folded(flatten(cube), 1, {}), b"").encode()) + 1000
    packed: dict[int, bytes] = {}

    def fits(tried: Folded) -> bool:
        packed[id(tried)] = pack(tried.cube)
        return frame + len(packed[id(tried)]) * 4 // 3 <= max_bytes

    found = folded(flatten(cube), fits)
    if found is None:
        raise ConfigError(
            f"the dashboard can't be made smaller than {max_bytes:,} bytes: choose fewer days, or allow more bytes"
        )
    return _filled(cube, found, packed[id(found)])


def _filled(cube: UsageCube, shown: Folded, data: bytes) -> str:
    script = "\n".join(_web(f"{name}.js") for name in _SCRIPTS)
    library = _library()
    allowed = " ".join(f"'sha256-{_sha256(each)}'" for each in (script, library))
    return Template(_web("page.html")).substitute(
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        style="\n".join(_web(f"{name}.css") for name in _STYLES),
        about=_json(_about(cube, shown)),
        definition=_json(_definition()),
        sessions=_json(_sessions(cube)),
        usage=base64.b64encode(data).decode(),
        library=base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode(),
        script=script,
    )


def _about(cube: UsageCube, shown: Folded) -> dict[str, Any]:
    return {
        "title": TITLE,
        "usage_table": cube.usage_table,
        "first_day": cube.first_day.isoformat(),
        "last_day": cube.last_day.isoformat(),
        "made_at": f"{cube.made_at:%Y-%m-%d %H:%M}",
        "spread": {"growth": GROWTH, "merged": shown.merged},
        "notes": _notes(shown),
    }


def _sessions(cube: UsageCube) -> list[dict[str, Any]]:
    """The sessions as the page's tables have rows: dollars in 10**-12 of one, as text."""
    return [
        {
            "day": row["day"].isoformat(),
            "key": [
                row["coding_agent"],
                row["requester"],
                row["session_id"][:_LONGEST_ID],
                f"{row['started_at'].astimezone(UTC):%Y-%m-%d %H:%M}",
                round(row["seconds"] / 60),
                row["subagents"],
            ],
            "requests": row["requests"],
            "total_tokens": row["total_tokens"],
            "unpriced_tokens": row["unpriced_tokens"],
            "priced_cost_usd": None if row["priced_cost_usd"] is None else f"{row['priced_cost_usd'].scaleb(12):.0f}",
        }
        for row in cube.sessions.to_pylist()
    ]


def _notes(shown: Folded) -> list[str]:
    error = (GROWTH ** (shown.merged / 2) - 1) * 100
    notes = ["Requests are counted per UTC day.", f"Percentiles are within {error:.1f}%."]
    for name, count in shown.values.items():
        one, many = _NAMES[name]
        what = f"{count:,} {many if count > 1 else one} with the least use"
        notes.append(f"{what} {'are' if count > 1 else 'is'} shown as {OTHER}{_as_users(name)}.")
    return notes


def _as_users(name: str) -> str:
    return ", and counted as one user" if name == "requester" else ""


def _definition() -> dict[str, Any]:
    return {
        "dimensions": {name: asdict(each) for name, each in DIMENSIONS.items()},
        "filters": [asdict(each) for each in FILTERS],
        "failed_from": outcomes.FAILED_FROM,
        "measures": {
            name: {
                "name": name,
                "title": each.title,
                "format": each.format,
                "rise_is": each.rise_is,
                "note": each.note,
                "computed": each.figure.as_data,
            }
            for name, each in MEASURES.items()
        },
        "pages": [
            {
                "name": page.name,
                "title": page.title,
                "only": page.only.column,
                "nothing": _NOTHING[page.only],
                "rows": [[{"kind": _kind(widget), **asdict(widget)} for widget in row] for row in page.rows],
            }
            for page in PAGES
        ],
    }


def _kind(widget: Widget) -> str:
    kinds = {Tile: "tile", Trend: "trend", HeatMap: "heat", Table: "table", Sessions: "sessions", Note: "note"}
    return kinds[type(widget)]


def _json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _web(name: str) -> str:
    return resources.files("gateway_batch.dashboard").joinpath("web", name).read_text(encoding="utf-8")


def check_library() -> None:
    """Raises ConfigError where the charts' library is not installed."""
    if importlib.util.find_spec("vl_convert") is None:
        raise ConfigError(
            "the dashboard needs its charts' library: install it with pip install 'gateway-batch[dashboard]'"
        )


@cache
def _library() -> str:
    """Vega-Embed, with Vega-Lite and Vega, as one script."""
    check_library()
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return f"(() => {{\n{bundle}\n}})();"


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
