"""Runs one case and compares what comes of it with what has to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.spark.session.messages import first_line
from tests.conformance.cases import Case
from tests.conformance.together import Answered, answered


@dataclass(frozen=True)
class Traffic:
    """What has reached the servers since a case began.

    Attributes:
        requests: how many, at all of them.
        bodies: what our own server got.
        tags: with which request tags, one dict a request.
    """

    requests: int
    bodies: list[Any]
    tags: list[dict[str, str]]


def check(
    case: Case,
    spark: SparkSession,
    traffic: Callable[[], Traffic],
    *,
    planned_late: bool = False,
    known: Answered | None = None,
) -> None:
    """Asserts all that the case says.

    Args:
        case: the case.
        spark: a session that has `ai_query`.
        traffic: since the case began.
        planned_late: whether calls are planned as the query runs, so that no error is due before.
        known: what came of the case's query, if it was run already.
    """
    for statement in case.setup:
        spark.sql(statement)
    if case.error is not None:
        _check_error(case, spark, planned_late=planned_late)
    else:
        _check_rows(case, known or answered(query(case, spark)))
    seen = traffic()
    if case.requests is not None and not (planned_late and case.counted == "classic"):
        assert seen.requests == case.requests
    if case.sent is not None:
        (body,) = seen.bodies
        assert part_of(json.loads(case.sent), body), f"sent {json.dumps(body)}"
    if case.tags is not None:
        assert sorted(map(_sorted, seen.tags)) == sorted(map(_sorted, json.loads(case.tags)))


def _sorted(tags: dict[str, str]) -> str:
    return json.dumps(tags, sort_keys=True)


def query(case: Case, spark: SparkSession) -> DataFrame:
    """The case's own statement; one that is no query is run by this."""
    return spark.sql(case.sql, args=case.args) if case.args else spark.sql(case.sql)


def _check_error(case: Case, spark: SparkSession, *, planned_late: bool) -> None:
    if planned_late:
        with pytest.raises(Exception) as caught:  # noqa: PT011  its class and text are checked below
            query(case, spark).collect()
    elif case.at == "analysis":
        with pytest.raises(Exception) as caught:  # noqa: PT011
            query(case, spark).schema  # noqa: B018
    else:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            query(case, spark).collect()
    line = first_line(caught.value)
    assert line.startswith(f"[{case.error}] " if case.error else ""), line
    assert "py4j" not in line
    if isinstance(caught.value, IllegalArgumentException):  # as ours reach the user when a query is analysed
        assert "\n" not in str(caught.value)
    for text in case.says:
        assert text in line


def _check_rows(case: Case, found: Answered) -> None:
    if case.schema is not None:
        assert found.frame.schema.simpleString() == case.schema
    rows = json.dumps([[plain(value) for value in row] for row in found.rows], default=str, ensure_ascii=False)
    if case.rows is not None:
        assert json.loads(rows) == json.loads(case.rows)
    for pattern in case.matches:
        assert re.search(pattern, rows), rows
    for text in case.says:
        assert text in rows


def plain(value: Any) -> Any:
    if hasattr(value, "asDict"):
        return {name: plain(member) for name, member in value.asDict().items()}
    if hasattr(value, "toJson"):  # a VARIANT
        return json.loads(value.toJson())
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, float):
        return round(value, 6)
    return value


def part_of(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and part_of(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(part_of(*pair) for pair in zip(part, whole, strict=True))
    return bool(part == whole and type(part) is type(whole))
