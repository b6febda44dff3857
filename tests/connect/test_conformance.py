"""The conformance cases on a Spark Connect server, those that are for it, by the SQL form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.conformance.cases import Case, read_cases
from tests.conformance.check import check

CASES = [case for case in read_cases() if not case.connect]


@pytest.fixture
def _clean(spark: SparkSession) -> Iterator[None]:
    before = {table.name for table in spark.catalog.listTables()}
    yield
    for table in spark.catalog.listTables():
        if table.name not in before:
            spark.sql(f"DROP {'VIEW' if table.isTemporary else 'TABLE'} IF EXISTS {table.name}")


@pytest.mark.usefixtures("registered", "_clean")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, spark: SparkSession, server: RunningGateway, echoed: list[Any]) -> None:
    if case.faults:
        server.configure(faults=case.faults)
    check(case, spark, lambda: int(server.stats()["requests"]) + len(echoed), lambda: echoed, planned_late=True)
