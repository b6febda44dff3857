"""The Databricks dashboard's datasets, run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, reduce
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from gateway_batch.dashboard.definition import FILTERS
from gateway_batch.dashboard.lakeview import dashboard
from gateway_batch.dashboard.lakeview_datasets import COLOURS, OTHERS
from tests.analytics.dashboard_rows import FIRST, LAST, rows_as_views

DATASETS = {each["name"]: "".join(each["queryLines"]) for each in dashboard()["datasets"]}
Query = Callable[..., DataFrame]
Ask = Callable[[str], list[Row]]


@pytest.fixture(scope="module")
def query(spark: SparkSession) -> Iterator[Query]:
    """A dataset, for some days and values of the filters.

    Open Spark knows no parameters with a dot, so `:days.min` is `:days_min` here.
    """

    def planned(name: str, first: date = FIRST, last: date = LAST, **chosen: list[str]) -> DataFrame:
        sql = re.sub(r":days\.(min|max)\b", r":days_\1", DATASETS[name])
        values: dict[str, Any] = {each.name: F.array(*map(F.lit, chosen.get(each.name, []))) for each in FILTERS}
        return spark.sql(sql, args={"days_min": first, "days_max": last, **values})

    with rows_as_views(spark):
        yield planned


@pytest.fixture(scope="module")
def ask(query: Query) -> Ask:
    """A dataset's rows, read once."""
    return cache(lambda name: query(name).collect())


def requests_under(query: Query, choices: Iterable[dict[str, list[str]]]) -> list[int]:
    """The requests that are left under each of some choices, all in one query."""
    sums = [query("endpoint_name_by_requests", **chosen).agg(F.sum("requests")) for chosen in choices]
    return [row[0] or 0 for row in reduce(DataFrame.unionAll, sums).collect()]


def fields_by_dataset() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for page in dashboard()["pages"]:
        for placed in page["layout"]:
            for query in placed["widget"].get("queries", []):
                names = re.findall(r"`(\w+)`", str(query["query"].get("fields", [])))
                found.setdefault(query["query"]["datasetName"], set()).update(names)
    return found


FIELDS = fields_by_dataset()


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_runs_and_has_the_columns_that_its_widgets_show(name: str, ask: Ask) -> None:
    rows = ask(name)
    assert rows
    assert set(rows[0].asDict()) == FIELDS[name]


def test_totals_are_of_the_days_and_of_as_many_before(ask: Ask, query: Query) -> None:
    (row,) = ask("totals")
    assert (row.requests, row.requests_before) == (16, 1)
    assert (row.users, row.users_before) == (3, 1)
    assert (row.error_rate, row.error_rate_before) == (1 / 16, 0)
    assert (row.priced_cost_usd, row.priced_cost_usd_before) == (Decimal("3.25"), Decimal("0.5"))
    assert (row.unpriced_tokens, row.unpriced_tokens_before) == (100, 0)
    (later,) = query("totals", first=date(2026, 11, 16), last=date(2026, 11, 17)).collect()
    assert (later.requests, later.requests_before) == (0, 10 + 1)
    assert later.priced_cost_usd is None
    assert later.latency_p50_ms is None


def test_a_page_s_totals_are_of_its_rows(ask: Ask) -> None:
    assert [
        ask(name)[0].requests for name in ("mcp_totals", "agents_totals", "frameworks_totals", "routed_totals")
    ] == [1] * 4


def test_the_greatest_values_have_a_colour_and_the_others_one_together(ask: Ask) -> None:
    rows = ask("day_endpoint_name_total_tokens")
    names = {row.endpoint_name for row in rows}
    tokens = {name: sum(row.total_tokens for row in rows if row.endpoint_name == name) for name in names}
    assert len(tokens) == COLOURS + 1
    assert tokens["chat"] == 300
    assert tokens["small-10"] == 10
    assert tokens[OTHERS] == 1 + 2 + 3 + 4
    assert {row.day for row in rows} == {FIRST, LAST}


def test_a_table_is_ordered_by_its_first_figure_and_names_what_is_missing(ask: Ask) -> None:
    models = ask("model_by_requests")
    assert [row.model for row in models] == ["gpt-5-4", "(not routed)", "own-model"]
    costs = ask("model_by_priced_cost_usd")
    assert [(row.model, row.priced_cost_usd) for row in costs] == [
        ("gpt-5-4", Decimal("3.25")), ("(not routed)", None), ("own-model", None)
    ]  # fmt: skip
    statuses = ask("status_code_by_invocations")
    assert [(row.status_code, row.invocations) for row in statuses] == [("200", 14), ("(unknown)", 1), ("500", 1)]
    tags = {(row.tag_key, row.tag_value): row.requests for row in ask("tag_key_tag_value_by_requests")}
    assert tags == {("(untagged)", ""): 15, ("team", "search"): 1, ("app", "it's 🙂"): 1}


def test_sessions_are_those_that_cost_most_of_the_days_and_requesters(ask: Ask, query: Query) -> None:
    found = [(row.requester, row.session_id, row.minutes, row.subagents) for row in ask("agents_sessions")]
    midnight = int(datetime(2026, 11, 10, tzinfo=UTC).timestamp())
    assert found == [
        ("(none)", f"gap-{midnight + 46 * 60}", 0, 0),
        ("ann@example.com", f"gap-{midnight - 15 * 60}", 30, 1),
        ("bob@example.com", "named", 0, 0),
        ("ann@example.com", f"gap-{midnight + 46 * 60}", 0, 0),
    ]
    assert [row.priced_cost_usd for row in ask("agents_sessions")] == [10, 4, 2, Decimal("0.2")]
    assert ask("agents_sessions")[1].started_at == "2026-11-09 23:45"
    (row,) = query("agents_sessions", requesters=["bob@example.com"]).collect()
    assert (row.requests, row.total_tokens) == (1, 10**6)
    assert query("agents_sessions", first=LAST).isEmpty()


def test_hours_are_told_apart_by_weekday(ask: Ask) -> None:
    hours = {(row.weekday, row.hour_of_day): row.invocations_by_hour for row in ask("hours")}
    assert hours == {("1 Monday", "09"): 4, ("1 Monday", "17"): 1, ("7 Sunday", "09"): 11}


def test_a_filter_leaves_what_is_chosen(query: Query) -> None:
    requests: list[tuple[dict[str, list[str]], int]] = [
        ({"workspaces": ["12"]}, 1),
        ({"endpoints": ["coding", "mcp-search"]}, 2),
        ({"models": ["(not routed)"]}, 2),
        ({"requesters": ["bob@example.com"]}, 2),
        ({"tags": ["app=it's 🙂", "team=other"]}, 1),
        ({"statuses": ["(unknown)", "500"]}, 2),
        ({"endpoints": ["chat"], "statuses": ["200"], "requesters": ["ann@example.com"]}, 2),
        ({"endpoints": ["none such"]}, 0),
    ]
    found = requests_under(query, (chosen for chosen, _ in requests))
    assert [(chosen, left) for (chosen, _), left in zip(requests, found, strict=True)] == requests


def test_a_filter_offers_the_values_that_it_compares(ask: Ask, query: Query) -> None:
    """All of them together leave what nothing chosen does; only one request has tags."""
    offered = {each.name: [row[0] for row in ask(f"filter_{each.name}")] for each in FILTERS}
    assert all(len(values) > 1 for values in offered.values()), offered
    found = requests_under(query, ({name: values} for name, values in offered.items()))
    assert dict(zip(offered, found, strict=True)) == {name: 1 if name == "tags" else 16 for name in offered}
