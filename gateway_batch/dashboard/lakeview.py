"""The Databricks dashboard (AI/BI, `.lvdash.json`), made from the definition of the usage dashboard.

It can't show everything that the definition says: there is no heat map among the widgets that its format documents, so
hours are bars with a colour for each weekday; and a tile has the figure of the period before, but no course.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from gateway_batch.dashboard.definition import (
    DIMENSIONS,
    FILTERS,
    PAGES,
    Filter,
    HeatMap,
    Note,
    Only,
    Page,
    Sessions,
    Table,
    Tile,
    Trend,
    Widget,
)
from gateway_batch.dashboard.lakeview_datasets import (
    BEFORE,
    AnyDataset,
    FilterDataset,
    lakeview_dataset_of,
    shared_datasets,
)
from gateway_batch.dashboard.measures import MEASURES, Format, Measure

COLUMNS = 12
"""Of the grid."""

FIRST_DAY, LAST_DAY = "now-27d/d", "now/d"
"""The days that are shown as the dashboard opens: 28, today's included."""

LINE = 200
"""Characters of a line of the file, at most, where it can be broken."""

_HEIGHTS: dict[type[Widget], int] = {Tile: 4, Trend: 6, HeatMap: 6, Table: 7, Sessions: 7, Note: 1}
_DAYS = "days"
_Json = dict[str, Any]


def dashboard() -> _Json:
    """The dashboard, as its file has it."""
    datasets = shared_datasets()
    return {
        "datasets": [_dataset(each) for each in datasets],
        "pages": [*(_page(each) for each in PAGES), _filter_page(datasets)],
        "uiSettings": {"theme": {"widgetHeaderAlignment": "ALIGNMENT_UNSPECIFIED"}, "applyModeEnabled": False},
    }


def dashboard_text() -> str:
    """The dashboard's file: what is short on one line, and a line of SQL a line."""
    return f"{_written(dashboard())}\n"


def _dataset(dataset: AnyDataset) -> _Json:
    return {
        "name": dataset.name,
        "displayName": dataset.title,
        "queryLines": [f"{line}\n" for line in dataset.sql().splitlines()],
        "parameters": [_parameter(name) for name in dataset.parameters],
    }


def _parameter(name: str) -> _Json:
    title = next((each.title for each in FILTERS if each.name == name), "Days")
    if name == _DAYS:
        days = {"dataType": "DATE", "min": {"value": FIRST_DAY}, "max": {"value": LAST_DAY}}
        declared, default = {"dataType": "DATE", "complexType": "RANGE"}, {"range": days}
    else:
        declared = {"dataType": "STRING", "complexType": "MULTI"}
        default = {"values": {"dataType": "STRING", "values": []}}
    return {"displayName": title, "keyword": name, **declared, "defaultSelection": default}


def _page(page: Page) -> _Json:
    layout: list[_Json] = []
    y = 0
    for row in page.rows:
        height = max(_height(widget) for widget in row)
        layout += _placed([_widget(widget, page) for widget in row], _widths(row), y, height)
        y += height
    return _canvas(page.name, page.title, "PAGE_TYPE_CANVAS", layout)


def _canvas(name: str, title: str, kind: str, layout: list[_Json]) -> _Json:
    return {"name": name, "displayName": title, "pageType": kind, "layoutVersion": "GRID_V1", "layout": layout}


def _height(widget: Widget) -> int:
    more = 1 if isinstance(widget, Note) and len(widget.text) > 120 else 0
    return _HEIGHTS[type(widget)] + more


def _shares(parts: int) -> list[int]:
    """Widths of a row's parts; the first ones are wider where it does not divide evenly."""
    return [COLUMNS // parts + (part < COLUMNS % parts) for part in range(parts)]


def _widths(row: Sequence[Widget]) -> list[int]:
    match row:
        case (Table() as left, Table() as right):
            columns = [len(each.dimensions) + len(each.measures) for each in (left, right)]
            more = (columns[0] > columns[1]) - (columns[0] < columns[1]) if abs(columns[0] - columns[1]) > 1 else 0
            return [COLUMNS // 2 + 2 * more, COLUMNS // 2 - 2 * more]
        case _:
            return _shares(len(row))


def _placed(row: Sequence[_Json], widths: Sequence[int], y: int, height: int) -> Iterator[_Json]:
    """A row of widgets side by side."""
    for widget, width, end in zip(row, widths, accumulate(widths), strict=True):
        yield {"widget": widget, "position": {"x": end - width, "y": y, "width": width, "height": height}}


def _widget(widget: Widget, page: Page) -> _Json:
    name = f"{page.name}-{_slug(widget)}"
    match widget:
        case Note(text):
            return {"name": name, "multilineTextboxSpec": {"lines": [text]}}
        case Tile(measure):
            spec = _counter(MEASURES[measure])
        case Trend():
            spec = _chart(widget)
        case HeatMap(title):
            spec = _hours(title)
        case Table() | Sessions():
            spec = _table(widget)
    return {"name": name, "queries": [_query(widget, page.only, spec["encodings"])], "spec": spec}


def _slug(widget: Widget) -> str:
    match widget:
        case Note():
            return "note"
        case Tile(measure):
            return f"tile-{measure}"
        case Table(title) | Sessions(title):
            kind = "table-"
        case Trend(title) | HeatMap(title):
            kind = "chart-"
    return kind + re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")


def _query(widget: Widget, only: Only, encodings: _Json) -> _Json:
    dataset = lakeview_dataset_of(widget, only)
    if dataset is None:
        raise AssertionError(widget)
    fields = [{"name": name, "expression": f"`{name}`"} for name in _field_names(encodings)]
    return {"name": "main_query", "query": {"datasetName": dataset.name, "fields": fields, "disaggregated": True}}


def _field_names(encodings: Any) -> Iterator[str]:
    """Names of the fields that encodings show, in their order."""
    if isinstance(encodings, list):
        for each in encodings:
            yield from _field_names(each)
    elif isinstance(encodings, dict):
        for key, value in encodings.items():
            if key == "fieldName":
                yield value
            else:
                yield from _field_names(value)


def _spec(version: int, kind: str, encodings: _Json, title: str, description: str = "") -> _Json:
    frame: _Json = {"showTitle": True, "title": title}
    if description:
        frame |= {"showDescription": True, "description": description}
    return {"version": version, "widgetType": kind, "encodings": encodings, "frame": frame}


def _counter(measure: Measure) -> _Json:
    figure = {"fieldName": measure.name, "displayName": _title(measure), "format": _format(measure, compact=True)}
    before = {**figure, "fieldName": f"{measure.name}{BEFORE}", "displayName": "Period before"}
    return _spec(2, "counter", {"value": figure, "target": before}, _title(measure), measure.note)


def _chart(trend: Trend) -> _Json:
    measures = [MEASURES[name] for name in trend.measures]
    y: _Json = {"scale": {"type": "quantitative"}}
    if len(measures) == 1:
        y |= {"fieldName": measures[0].name, **_axis(_title(measures[0])), "format": _format(measures[0], compact=True)}
    else:
        y["fields"] = [{"fieldName": each.name, "displayName": each.title} for each in measures]
        y |= _axis("ms") if measures[0].format is Format.MILLISECONDS else {}
    encodings = {"x": {"fieldName": "day", "scale": {"type": "temporal"}, **_axis("Day, UTC")}, "y": y}
    if trend.by is not None:
        encodings["color"] = _colour(trend.by, DIMENSIONS[trend.by].title)
    notes = dict.fromkeys(each.note for each in measures)
    return _spec(3, trend.mark.value, encodings, trend.title, " ".join(notes))


def _hours(title: str) -> _Json:
    measure = MEASURES["invocations_by_hour"]
    encodings = {
        "x": {"fieldName": "hour_of_day", "scale": {"type": "categorical"}, **_axis("Hour, UTC")},
        "y": {
            "fieldName": measure.name,
            "scale": {"type": "quantitative"},
            **_axis(measure.title),
            "format": _format(measure, compact=True),
        },
        "color": _colour("weekday", "Weekday"),
    }
    return _spec(3, "bar", encodings, title, measure.note)


def _table(table: Table | Sessions) -> _Json:
    dimensions = [{"fieldName": name, "displayName": DIMENSIONS[name].title} for name in table.dimensions]
    figures = [
        {"fieldName": each.name, "displayName": _title(each), "format": _format(each, compact=False)}
        for each in (MEASURES[name] for name in table.measures)
    ]
    return _spec(2, "table", {"columns": [*dimensions, *figures]}, table.title)


def _axis(title: str) -> _Json:
    return {"axis": {"title": title}}


def _colour(field: str, title: str) -> _Json:
    return {"fieldName": field, "scale": {"type": "categorical"}, "displayName": title}


def _title(measure: Measure) -> str:
    return f"{measure.title} (ms)" if measure.format is Format.MILLISECONDS else measure.title


def _format(measure: Measure, *, compact: bool) -> _Json:
    short = {"abbreviation": "compact"} if compact else {}
    match measure.format:
        case Format.COUNT:
            return {"type": "number", **short, "decimalPlaces": {"type": "max", "places": 1 if compact else 0}}
        case Format.SHARE:
            return {"type": "number-percent", "decimalPlaces": {"type": "max", "places": 1 if compact else 2}}
        case Format.MILLISECONDS:
            return {"type": "number", "decimalPlaces": {"type": "max", "places": 0}}
        case Format.DOLLARS:
            return {
                "type": "number-currency",
                "currencyCode": "USD",
                **short,
                "decimalPlaces": {"type": "fixed", "places": 2},
            }


def _filter_page(datasets: Sequence[AnyDataset]) -> _Json:
    filters = [_days_filter(datasets), *(_values_filter(each, datasets) for each in FILTERS)]
    layout: list[_Json] = []
    for y, row in enumerate((filters[:4], filters[4:])):
        layout += _placed(row, _shares(len(row)), 2 * y, 2)
    return _canvas("filters", "Filters", "PAGE_TYPE_GLOBAL_FILTERS", layout)


def _days_filter(datasets: Iterable[AnyDataset]) -> _Json:
    return _filter(_DAYS, "filter-date-range-picker", "Days, UTC", [_bound(_DAYS, each) for each in datasets])


def _values_filter(chosen: Filter, datasets: Iterable[AnyDataset]) -> _Json:
    values = FilterDataset(chosen)
    field = {"name": values.column, "expression": f"`{values.column}`"}
    offered = (
        {"name": values.name, "query": {"datasetName": values.name, "fields": [field], "disaggregated": False}},
        {"fieldName": values.column, "displayName": chosen.title, "queryName": values.name},
    )
    bound = [_bound(chosen.name, each) for each in datasets if chosen.name in each.parameters]
    return _filter(chosen.name, "filter-multi-select", chosen.title, [offered, *bound])


def _bound(parameter: str, dataset: AnyDataset) -> tuple[_Json, _Json]:
    """Query and field by which a filter gives a dataset's parameter its value."""
    name = f"{dataset.name}_{parameter}"
    parameters = [{"name": parameter, "keyword": parameter}]
    query = {"datasetName": dataset.name, "parameters": parameters, "disaggregated": False}
    return {"name": name, "query": query}, {"parameterName": parameter, "queryName": name}


def _filter(name: str, kind: str, title: str, bound: Sequence[tuple[_Json, _Json]]) -> _Json:
    spec = _spec(2, kind, {"fields": [field for _, field in bound]}, title)
    return {"name": f"filter-{name}", "queries": [query for query, _ in bound], "spec": spec}


def _written(value: Any, indent: str = "") -> str:
    """JSON; what fits into a line is on one, lines of SQL excepted."""
    line = json.dumps(value, ensure_ascii=False)
    many = isinstance(value, list) and len(value) > 1 and isinstance(value[0], str)
    if not isinstance(value, dict | list) or (len(indent) + len(line) < LINE and not many):
        return line
    inner = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_written(each, inner)}" for key, each in value.items()]
        opened, closed = "{", "}"
    else:
        parts = [_written(each, inner) for each in value]
        opened, closed = "[", "]"
    return f"{opened}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closed}"
