"""Every conformance case on a classic session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.cases import Case, read_cases
from tests.conformance.check import Traffic, check
from tests.conformance.session import cleaned, endpoints
from tests.spark.conftest import TOKEN

CASES = read_cases()


@pytest.fixture(scope="module", autouse=True)
def _registered(
    spark: SparkSession, shared_server: RunningGateway, echo_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    config = gb.GatewayConfig.from_env(
        host=shared_server.host,
        token=TOKEN,
        endpoints=endpoints(echo_server),
        spool_dir=str(tmp_path_factory.mktemp("spool")),
        usage_table="conformance.usage",
        flush_interval=0,
        max_attempts=2,
    )
    with gb.register_ai_query(spark, config):
        yield


@pytest.fixture
def _clean(spark: SparkSession, case: Case) -> Iterator[None]:
    yield from cleaned(spark, case)


@pytest.mark.usefixtures("_clean")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(
    case: Case,
    spark: SparkSession,
    server: RunningGateway,
    echoed: list[Any],
    echoed_tags: list[dict[str, str]],
) -> None:
    if case.faults:
        server.configure(faults=case.faults)
    check(case, spark, lambda: Traffic(int(server.stats()["requests"]) + len(echoed), echoed, echoed_tags))
