from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway_batch.dashboard.definition import FILTERS, PAGES, HeatMap, Note, Sessions, Table, Tile, Trend
from gateway_batch.dashboard.lakeview import COLUMNS, dashboard, dashboard_text
from gateway_batch.dashboard.lakeview_datasets import shared_datasets
from gateway_batch.dashboard.measures import MEASURES
from tests.unit.lakeview_format import DASHBOARD, WIDGETS

FILE = Path(__file__).parents[2] / "sql" / "dashboard" / "ai_gateway_usage.lvdash.json"
MADE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
DATASETS: dict[str, Any] = {each["name"]: each for each in MADE["datasets"]}
COLUMNS_OF = {each.name: set(each.columns) for each in shared_datasets()}
CANVASES = [page for page in MADE["pages"] if page["pageType"] == "PAGE_TYPE_CANVAS"]
WIDGETS_OF = [placed["widget"] for page in MADE["pages"] for placed in page["layout"]]
SHOWN = [placed["widget"] for page in CANVASES for placed in page["layout"] if "spec" in placed["widget"]]
(FILTER_PAGE,) = (page for page in MADE["pages"] if page["pageType"] == "PAGE_TYPE_GLOBAL_FILTERS")
CHOICES = [placed["widget"] for placed in FILTER_PAGE["layout"]]
PARAMETERS = {"days", *(each.name for each in FILTERS)}


def field_names(encodings: Any) -> Iterator[str]:
    if isinstance(encodings, dict):
        yield from [encodings["fieldName"]] if "fieldName" in encodings else []
        encodings = list(encodings.values())
    if isinstance(encodings, list):
        for each in encodings:
            yield from field_names(each)


def sql(dataset: dict[str, Any]) -> str:
    return "".join(dataset["queryLines"])


def test_the_file_is_what_the_definition_makes() -> None:
    """Written by scripts/write_dashboard.py."""
    assert dashboard_text() == FILE.read_text(encoding="utf-8")
    assert dashboard() == MADE


def test_it_has_no_key_and_no_version_that_the_format_does_not_have() -> None:
    errors = [
        f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(DASHBOARD).iter_errors(MADE)
    ]
    assert errors == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pages", 0, "layout", 0, "widget", "spec", "version"), 3),
        (("pages", 0, "layout", 0, "widget", "spec", "widgetType"), "heatmap"),
        (("pages", 0, "layout", 0, "widget", "name"), "a b"),
        (("pages", 0, "layoutVersion"), "GRID_V2"),
        (("datasets", 0, "query"), "SELECT 1"),
        (("datasets", 0, "queryLines", 0), "SELECT"),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    wrong = json.loads(FILE.read_text(encoding="utf-8"))
    at = wrong
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    assert not Draft202012Validator(DASHBOARD).is_valid(wrong)


def test_names_are_unique() -> None:
    for names in (
        [each["name"] for each in WIDGETS_OF],
        [each["name"] for each in MADE["pages"]],
        [each["name"] for each in MADE["datasets"]],
        *([query["name"] for query in each.get("queries", [])] for each in WIDGETS_OF),
    ):
        assert [name for name, times in Counter(names).items() if times > 1] == []


def test_pages_and_their_widgets_are_those_of_the_definition() -> None:
    kinds: dict[Any, set[str | None]] = {
        Tile: {"counter"},
        Trend: {"bar", "line", "area"},
        HeatMap: {"bar"},
        Table: {"table"},
        Sessions: {"table"},
        Note: {None},
    }
    assert [page["displayName"] for page in CANVASES] == [page.title for page in PAGES]
    for page, made in zip(PAGES, CANVASES, strict=True):
        widgets = [widget for row in page.rows for widget in row]
        for widget, placed in zip(widgets, made["layout"], strict=True):
            assert placed["widget"].get("spec", {}).get("widgetType") in kinds[type(widget)]


@pytest.mark.parametrize("page", MADE["pages"], ids=lambda page: page["name"])
def test_a_page_s_grid_is_filled_without_gap_or_overlap(page: dict[str, Any]) -> None:
    cells = Counter(
        (x, y)
        for at in (placed["position"] for placed in page["layout"])
        for x in range(at["x"], at["x"] + at["width"])
        for y in range(at["y"], at["y"] + at["height"])
    )
    rows = 1 + max(y for _, y in cells)
    assert cells == Counter((x, y) for x in range(COLUMNS) for y in range(rows))


@pytest.mark.parametrize("widget", SHOWN, ids=lambda widget: widget["name"])
def test_a_widget_shows_columns_that_its_dataset_has(widget: dict[str, Any]) -> None:
    """tests/analytics/test_lakeview_datasets.py holds the columns against what the query really gives."""
    (query,) = (each["query"] for each in widget["queries"])
    fields = {each["name"]: each["expression"] for each in query["fields"]}
    assert set(fields) == set(field_names(widget["spec"]["encodings"]))
    assert all(expression == f"`{name}`" for name, expression in fields.items())
    assert set(fields) <= COLUMNS_OF[query["datasetName"]]
    assert query["disaggregated"] is True


def test_every_dataset_and_every_column_is_shown_by_a_widget() -> None:
    shown: dict[str, set[str]] = {name: set() for name in DATASETS}
    for widget in WIDGETS_OF:
        for each in widget.get("queries", []):
            shown[each["query"]["datasetName"]] |= {field["name"] for field in each["query"].get("fields", [])}
    assert shown == COLUMNS_OF


@pytest.mark.parametrize("dataset", MADE["datasets"], ids=lambda dataset: dataset["name"])
def test_a_dataset_declares_the_parameters_of_its_query_and_no_other(dataset: dict[str, Any]) -> None:
    used = {name.partition(".")[0] for name in re.findall(r":([a-z]+(?:\.\w+)?)", re.sub(r"'[^']*'", "", sql(dataset)))}
    assert used == {each["keyword"] for each in dataset["parameters"]}
    assert set(re.findall(r":days\S*?\b(?:\.\w+)?", sql(dataset))) == {":days.min", ":days.max"}


def test_each_parameter_is_bound_by_one_filter_and_each_filter_s_binding_is_declared() -> None:
    declared = {(name, each["keyword"]) for name, dataset in DATASETS.items() for each in dataset["parameters"]}
    bound: list[tuple[str, str]] = []
    for widget in CHOICES:
        queries = {each["name"]: each["query"] for each in widget["queries"]}
        fields = widget["spec"]["encodings"]["fields"]
        assert [each["queryName"] for each in fields] == list(queries)
        for each in fields:
            query = queries[each["queryName"]]
            if "parameterName" in each:
                (parameter,) = query["parameters"]
                assert parameter == {"name": each["parameterName"], "keyword": each["parameterName"]}
                bound.append((query["datasetName"], each["parameterName"]))
            else:
                assert [field["name"] for field in query["fields"]] == [each["fieldName"]]
                assert query["disaggregated"] is False
    assert len(bound) == len(set(bound))
    assert set(bound) == declared
    assert {parameter for _, parameter in bound} == PARAMETERS


def test_each_filter_but_the_days_offers_values_of_a_dataset_of_its_own() -> None:
    offered = {
        widget["name"].removeprefix("filter-"): [
            each["query"]["datasetName"] for each in widget["queries"] if "fields" in each["query"]
        ]
        for widget in CHOICES
    }
    assert offered == {"days": [], **{each.name: [f"filter_{each.name}"] for each in FILTERS}}


def test_queries_are_one_statement_each_and_name_views_without_a_schema() -> None:
    for dataset in MADE["datasets"]:
        text = sql(dataset)
        assert ";" not in text
        made = set(re.findall(r"(\w+) AS \(\n", text))
        read = set(re.findall(r"\b(?:FROM|JOIN) (\w[\w.]*)", text)) - made
        assert read <= {"usage_cells", "usage_costs", "usage_distributions", "usage_session_parts", "prices"}, dataset[
            "name"
        ]
        assert read


def test_figures_are_written_as_the_definition_says() -> None:
    kinds = {"count": "number", "share": "number-percent", "milliseconds": "number", "dollars": "number-currency"}
    written = {
        (column["fieldName"], column["format"]["type"])
        for widget in SHOWN
        for column in (
            *widget["spec"]["encodings"].get("columns", []),
            *(widget["spec"]["encodings"][name] for name in ("value", "y") if name in widget["spec"]["encodings"]),
        )
        if "format" in column
    }
    assert {name for name, _ in written} > {"requests", "error_rate", "latency_p50_ms", "priced_cost_usd"}
    assert [name for name, kind in written if kinds[MEASURES[name].format.value] != kind] == []


def test_every_documented_kind_of_widget_is_used() -> None:
    """So that the schema has no kind that nothing is held against."""
    assert {widget["spec"]["widgetType"] for widget in [*SHOWN, *CHOICES]} == set(WIDGETS)
