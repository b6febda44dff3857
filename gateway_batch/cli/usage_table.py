"""Reports of usage as JSON, CSV, and tables for the terminal."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gateway_batch.usage_report.report import REPORTED, Figures, Report

if TYPE_CHECKING:
    from gateway_batch.usage_report import Period

_KEY_WIDTH, _EDGES = 20, 4
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_UNITS = ("", "k", "M", "G", "T", "P", "E")


def json_lines(report: Report, rows: list[Figures]) -> Iterator[str]:
    """An object for each row. The first name is that of `--by`; dollars are a text, to lose no digit."""
    for row in rows:
        yield json.dumps({report.key.name: _plain(row.key), **_values(row)}, ensure_ascii=False)


def csv_text(report: Report, rows: list[Figures]) -> str:
    """A line for each row under one of names; an empty field is NULL.

    A key that a spreadsheet would take for a formula has an apostrophe before it: keys come from callers and servers.
    """
    lines = [[report.key.name, *REPORTED], *([_no_formula(_plain(row.key)), *_values(row).values()] for row in rows)]
    return "".join(map(_csv_line, lines))


def _csv_line(fields: Sequence[Any]) -> str:
    line = StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)  # quotes both of its characters in a field
    return f"{line.getvalue()[:-2]}\n"


def _no_formula(key: Any) -> Any:
    return f"'{key}" if isinstance(key, str) and key.startswith(_FORMULA) else key


def usage_table(report: Report, rows: list[Figures], *, name: str, period: Period, width: int) -> Table:
    """The rows as a table that fits a width, the total below; narrow terminals get the columns that matter most."""
    shown = _columns_for(report, rows, width)
    table = Table(
        title=Text(f"Usage by {report.key.name}, {name}"),
        caption=Text(_caption(report, rows, period)),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_footer=True,
        footer_style="bold",
    )
    table.add_column(Text(report.key.name), Text("all"), overflow="fold", min_width=min(_KEY_WIDTH, width // 4))
    for column in shown:
        table.add_column(column.head, column.show(report.total), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text(_key_text(row.key)), *(column.show(row) for column in shown))
    return table


@dataclass(frozen=True)
class _Column:
    """A column of the terminal's table; of those that don't fit, the higher ranks go first."""

    head: str
    rank: int
    show: Callable[[Figures], str]


def _columns_for(report: Report, rows: list[Figures], width: int) -> list[_Column]:
    columns = [column for column in _COLUMNS if report.has_prices or column.head != "cost"]
    keys = max((cell_len(_key_text(row.key)) for row in rows), default=0)
    room = width - _EDGES - max(min(_KEY_WIDTH, width // 4), min(keys, width // 4))
    taken = {column: 1 + _width_of(column, [*rows, report.total]) for column in columns}
    while sum(taken[column] for column in columns) > room and len(columns) > 2:
        columns.remove(max(columns, key=lambda column: column.rank))
    return columns


def _width_of(column: _Column, rows: list[Figures]) -> int:
    heads = (len(part) for part in column.head.split("\n"))
    return max(*heads, *(len(column.show(row)) for row in rows))


def _caption(report: Report, rows: list[Figures], period: Period) -> str:
    total = report.total
    since, until = period.since or report.first, period.until or report.last
    time = f"{_time(since)} to {_time(until)} UTC" if since and until else "no times"
    counted = "row" if total.invocations == 1 else "rows"
    lines = [f"{total.invocations:,} {counted} of the usage table, {time}"]
    if len(rows) < (values := len(report.rows)):
        lines.append(f"{len(rows):,} of {values:,} values are shown; the last line is of all of them")
    if not report.has_prices:
        lines.append("no table prices next to it, so no costs: gateway-batch views deploy makes one")
    elif total.unpriced_tokens:
        lines.append(f"+ and {_short(total.unpriced_tokens)} tokens in all that have no price")
    return "\n".join(lines)


def _values(row: Figures) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in REPORTED}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else value


def _key_text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _time(value)
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _dollars(row: Figures) -> str:
    if row.priced_cost_usd is None:
        return "?" if row.unpriced_tokens else "-"
    places = 2 if abs(row.priced_cost_usd) >= 1 or not row.priced_cost_usd else 6
    return f"${row.priced_cost_usd:,.{places}f}{'+' if row.unpriced_tokens else ''}"


def _short(count: int) -> str:
    """Three digits and a unit."""
    if count < 1000:
        return str(count)
    power = min(int(math.log10(count)) // 3, len(_UNITS) - 1)
    return f"{count / 1000**power:.3g}{_UNITS[power]}" if count < 999.5 * 1000**power else f"1{_UNITS[power + 1]}"


_COLUMNS = (
    _Column("requests", 0, lambda row: f"{row.requests:,}"),
    _Column("failed", 4, lambda row: f"{row.failed_requests:,}"),
    _Column("unknown", 8, lambda row: f"{row.unknown_requests:,}"),
    _Column("errors", 1, lambda row: _percent(row.error_rate)),
    _Column("tokens\nin", 3, lambda row: _short(row.input_tokens)),
    _Column("tokens\nout", 3, lambda row: _short(row.output_tokens)),
    _Column("cached", 6, lambda row: _percent(row.cache_hit_ratio)),
    _Column("users", 7, lambda row: f"{row.users:,}"),
    _Column("p50\nms", 5, lambda row: _milliseconds(row.latency_p50_ms)),
    _Column("p95\nms", 2, lambda row: _milliseconds(row.latency_p95_ms)),
    _Column("cost", 0, _dollars),
)
