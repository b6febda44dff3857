"""The parts of the format of `.lvdash.json` that our dashboard uses, as a schema: no other key is let through.

Public exports of Databricks have all of them; what else exports have is left out on purpose.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
SLUG: Schema = {"type": "string", "pattern": "^[a-z0-9_]+$"}


def closed(required: Schema, optional: Schema | None = None) -> Schema:
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def some(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*words: object) -> Schema:
    return {"enum": list(words)}


PLACES = closed({"type": one_of("max", "fixed"), "places": {"type": "integer", "minimum": 0}})
NUMBER = closed({"type": one_of("number"), "decimalPlaces": PLACES}, {"abbreviation": one_of("compact")})
PERCENT = closed({"type": one_of("number-percent"), "decimalPlaces": PLACES})
DOLLARS = closed(
    {"type": one_of("number-currency"), "currencyCode": one_of("USD"), "decimalPlaces": PLACES},
    {"abbreviation": one_of("compact")},
)
FORMAT: Schema = {"anyOf": [NUMBER, PERCENT, DOLLARS]}
AXIS = closed({"title": TEXT})


def scale(*kinds: str) -> Schema:
    return closed({"type": one_of(*kinds)})


FIGURE = closed({"fieldName": TEXT, "displayName": TEXT, "format": FORMAT})
X = closed({"fieldName": TEXT, "scale": scale("temporal", "categorical"), "axis": AXIS})
Y = {
    "oneOf": [
        closed({"fieldName": TEXT, "scale": scale("quantitative"), "axis": AXIS, "format": FORMAT}),
        closed(
            {"fields": some(closed({"fieldName": TEXT, "displayName": TEXT})), "scale": scale("quantitative")},
            {"axis": AXIS},
        ),
    ]
}
COLOUR = closed({"fieldName": TEXT, "displayName": TEXT, "scale": scale("categorical")})
CHART = closed({"x": X, "y": Y}, {"color": COLOUR})
BOUND = {
    "oneOf": [
        closed({"fieldName": TEXT, "displayName": TEXT, "queryName": TEXT}),
        closed({"parameterName": TEXT, "queryName": TEXT}),
    ]
}
FILTER = closed({"fields": some(BOUND)})

WIDGETS: dict[str, tuple[int, Schema]] = {
    "counter": (2, closed({"value": FIGURE, "target": FIGURE})),
    "table": (2, closed({"columns": some(closed({"fieldName": TEXT, "displayName": TEXT}, {"format": FORMAT}))})),
    "bar": (3, CHART),
    "line": (3, CHART),
    "area": (3, CHART),
    "filter-multi-select": (2, FILTER),
    "filter-date-range-picker": (2, FILTER),
}
"""Version and encodings of each kind of widget."""

FRAME = closed({"showTitle": one_of(True), "title": TEXT}, {"showDescription": one_of(True), "description": TEXT})
SPEC = {
    "oneOf": [
        closed({"version": one_of(version), "widgetType": one_of(kind), "encodings": encodings, "frame": FRAME})
        for kind, (version, encodings) in WIDGETS.items()
    ]
}
FIELD = closed({"name": TEXT, "expression": {"type": "string", "pattern": "^`[a-z0-9_]+`$"}})
BINDING = closed({"name": TEXT, "keyword": TEXT})
QUERY = {
    "oneOf": [
        closed({"datasetName": SLUG, "fields": some(FIELD), "disaggregated": {"type": "boolean"}}),
        closed({"datasetName": SLUG, "parameters": some(BINDING), "disaggregated": one_of(False)}),
    ]
}
NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,60}$"}
WIDGET = {
    "oneOf": [
        closed({"name": NAME, "multilineTextboxSpec": closed({"lines": {**some(TEXT), "maxItems": 1}})}),
        closed({"name": NAME, "queries": some(closed({"name": TEXT, "query": QUERY})), "spec": SPEC}),
    ]
}
CELL: Schema = {"type": "integer", "minimum": 0}
POSITION = closed({"x": CELL, "y": CELL, "width": CELL, "height": CELL})
PAGE = closed(
    {
        "name": SLUG,
        "displayName": TEXT,
        "pageType": one_of("PAGE_TYPE_CANVAS", "PAGE_TYPE_GLOBAL_FILTERS"),
        "layoutVersion": one_of("GRID_V1"),
        "layout": some(closed({"widget": WIDGET, "position": POSITION})),
    }
)
DAY = closed({"value": {"type": "string", "pattern": r"^(now(-\d+d)?/d|\d{4}-\d\d-\d\d)$"}})
RANGE = closed({"range": closed({"dataType": one_of("DATE"), "min": DAY, "max": DAY})})
VALUES = closed({"values": closed({"dataType": one_of("STRING"), "values": {"type": "array"}})})
_NAMED = {"displayName": TEXT, "keyword": SLUG}
PARAMETER = {
    "oneOf": [
        closed({
            **_NAMED, "dataType": one_of("DATE"), "complexType": one_of("RANGE"), "defaultSelection": RANGE,
        }),
        closed({
            **_NAMED, "dataType": one_of("STRING"), "complexType": one_of("MULTI"), "defaultSelection": VALUES,
        }),
    ]
}  # fmt: skip
DATASET = closed(
    {
        "name": SLUG,
        "displayName": TEXT,
        "queryLines": some({"type": "string", "pattern": r"\n$"}),
        "parameters": some(PARAMETER),
    }
)
DASHBOARD = closed(
    {
        "datasets": some(DATASET),
        "pages": some(PAGE),
        "uiSettings": closed({"theme": {"type": "object"}, "applyModeEnabled": {"type": "boolean"}}),
    }
)
