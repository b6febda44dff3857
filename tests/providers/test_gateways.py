"""`ai_query` through other gateways, run for real: `make providers`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import Settings, running
from tests.providers.gateways import KEY, Running, litellm_running, mlflow_running

TOKEN = "t0ken"
ROWS = 300
STARS = (
    "responseFormat => 'STRUCT<review: STRUCT<stars: INT, why: STRING>>', "
    "returnType => 'STRUCT<stars: INT, why: STRING>'"
)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    session = gb.local_session(tmp_path_factory.mktemp("warehouse"), settings={"spark.log.level": "ERROR"})
    session.range(ROWS).selectExpr(
        "id", "'Lake ' || id || ' is a deep and quiet lake.' AS body"
    ).createOrReplaceTempView("lakes")
    yield session
    session.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("gateway_running", [litellm_running, mlflow_running], ids=["litellm", "mlflow"])
def test_rows_pass_through_every_route(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gateway_running: Running
) -> None:
    monkeypatch.setenv("LITELLM_KEY", KEY)
    table = f"{gateway_running.__name__}_usage"
    with (
        running(Settings(port=0, token=TOKEN, ledger=tmp_path / "ledger.sqlite")) as server,
        gateway_running(tmp_path, f"{server.host}/ai-gateway/openai/v1", TOKEN) as endpoints,
    ):
        config = gb.GatewayConfig.from_env(endpoints=endpoints, spool_dir=str(tmp_path / "spool"), usage_table=table)
        with gb.register_ai_query(spark, config) as gateway:
            for name in endpoints:
                answers = _answers(spark, f"ai_query('{name}', body)")
                assert len(answers) == ROWS
                assert all(answers)
            vectors = _answers(spark, "ai_query('vectors', body)")
            assert {len(vector) for vector in vectors} == {1024}
            stars = _answers(spark, f"ai_query('chat', body, {STARS})")
            assert all(answer.stars is not None for answer in stars)
            short = _answers(spark, "ai_query('chat', body, modelParameters => named_struct('max_tokens', 2))")
            assert max(len(answer.split()) for answer in short) <= 2
            gateway.usage.flush()
        usage = spark.table(table)
        assert usage.where("status_code <> 200 OR client_metadata.token_source <> 'provider'").count() == 0
        assert usage.count() == server.stats()["requests"]


def _answers(spark: SparkSession, call: str) -> list[Any]:
    return [row.a for row in spark.sql(f"SELECT {call} AS a FROM lakes").collect()]
