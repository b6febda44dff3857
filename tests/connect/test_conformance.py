"""The conformance cases on a Spark Connect server, those that are for it, by the SQL form.

`make test` has those that may share a query and a few of each mechanism that differs there; `make nightly` has all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.cases import Case, read_cases
from tests.conformance.check import Traffic, check, query
from tests.conformance.session import cleaned
from tests.conformance.together import Answered, answered_together

CASES = {case.name: case for case in read_cases() if not case.connect}

MECHANISMS = {
    "arguments of a SQL function, and what its constants are made of": (
        "two positional arguments",
        "session variable as endpoint",
        "constants that are NULL",
    ),
    "errors of Spark, and of planning in the worker": (
        "unknown argument",
        "distinct arguments",
        "failOnError as text",
        "name with spaces",
        "bare JSON schema",
    ),
    "errors of rows": ("the whole query fails by default", "a failing row and its task's attempts"),
    "what is sent": ("JSON schema", "endpoint of the settings in its other spelling"),
    "requests that are sent once": ("duplicates", "the same call twice", "an answer used twice"),
    "rows that are not sent": ("NULL requests among others", "partitions without rows", "empty table"),
    "a file, none, and one that is NULL": ("a PNG image", "NULL as a file", "a wrong file fails the query"),
    "tags and conditions": (
        "tags of each row",
        "tags that are NULL",
        "the word NULL as tags",
        "when",
        "when is NULL",
    ),
    "another API": ("the same answer through every chat API",),
    "what Spark makes of a SQL function in each kind of place": (
        "in a temporary view",
        "in CREATE TABLE AS",
        "no table of a query that fails",
        "in a scalar subquery",
        "in a lateral subquery",
        "in WHERE",
        "in a join's condition",
        "over an aggregate",
        "in an aggregate",
        "as a group",
        "in HAVING",
        "in a window",
        "in UNION",
        "an answer asked about",
        "ORDER BY the answer",
        "LIMIT",
        "EXPLAIN",
        "in a temporary SQL function",
    ),
}


def _cases() -> Iterator[Any]:
    always = {name for names in MECHANISMS.values() for name in names}
    if unknown := always - CASES.keys():
        raise ValueError(f"no cases for Spark Connect: {', '.join(sorted(unknown))}")
    for name, case in CASES.items():
        is_repeat = name not in always and not case.is_about_rows_alone
        yield pytest.param(case, id=name, marks=[pytest.mark.nightly] if is_repeat else [])


@pytest.fixture(scope="module")
def by_one_query(spark: SparkSession, registered: gb.Gateway) -> dict[str, Answered]:
    """What comes of the cases that may share a query; of none, if one of them fails: then each is run alone."""
    with suppress(Exception):
        return answered_together({name: query(case, spark) for name, case in CASES.items() if case.is_about_rows_alone})
    return {}


@pytest.fixture
def _clean(spark: SparkSession, case: Case) -> Iterator[None]:
    yield from cleaned(spark, case)


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize("case", list(_cases()))
def test_case(
    case: Case,
    spark: SparkSession,
    by_one_query: dict[str, Answered],
    server: RunningGateway,
    echoed: list[Any],
    echoed_tags: list[dict[str, str]],
) -> None:
    if case.faults:
        server.configure(faults=case.faults)

    def traffic() -> Traffic:
        return Traffic(int(server.stats()["requests"]) + len(echoed), echoed, echoed_tags)

    check(case, spark, traffic, planned_late=True, known=by_one_query.get(case.name))
