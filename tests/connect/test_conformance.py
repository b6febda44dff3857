"""The conformance cases on a Spark Connect server, those that are for it, by the SQL form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.conformance.cases import Case, read_cases
from tests.conformance.check import Traffic, check
from tests.conformance.session import cleaned

CASES = [case for case in read_cases() if not case.connect]


@pytest.fixture
def _clean(spark: SparkSession, case: Case) -> Iterator[None]:
    yield from cleaned(spark, case)


@pytest.mark.usefixtures("registered", "_clean")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(
    case: Case, spark: SparkSession, server: RunningGateway, echoed: list[Any], echoed_tags: list[dict[str, str]]
) -> None:
    if case.faults:
        server.configure(faults=case.faults)

    def traffic() -> Traffic:
        return Traffic(int(server.stats()["requests"]) + len(echoed), echoed, echoed_tags)

    check(case, spark, traffic, planned_late=True)
