"""Every conformance case on a classic session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.cases import PLACES, Case, read_cases
from tests.conformance.check import Traffic, check, query
from tests.conformance.session import cleaned, endpoints
from tests.conformance.together import Answered, answered_together
from tests.spark.conftest import TOKEN, compiling

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
    gateway = gb.register_ai_query(spark, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway.usage, "flush", lambda: 0)  # nobody reads the table
        yield
        gateway.close()


@pytest.fixture(scope="module")
def by_one_query(spark: SparkSession, _registered: None) -> dict[str, Answered]:
    """What comes of the cases that may share a query; of none, if one of them fails: then each is run alone."""
    with suppress(Exception):
        return answered_together({case.name: query(case, spark) for case in CASES if case.is_about_rows_alone})
    return {}


@pytest.fixture
def _compiled(spark: SparkSession, case: Case) -> Iterator[None]:
    """Where the case is about the place of a call in the query."""
    with compiling(spark) if case.section == PLACES else nullcontext():
        yield


@pytest.fixture
def _clean(spark: SparkSession, case: Case) -> Iterator[None]:
    yield from cleaned(spark, case)


@pytest.mark.usefixtures("_clean", "_compiled")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
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

    check(case, spark, traffic, known=by_one_query.get(case.name))
