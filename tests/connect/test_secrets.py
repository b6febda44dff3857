"""On Spark Connect a token is where the workers are, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.session.messages import first_line
from tests.connect.conftest import MODEL, TOKEN, Register


def test_a_redis_url_with_a_password_given_by_value_is_refused(register: Register) -> None:
    with pytest.raises(
        gb.ConfigError, match=r"^coordination: on Spark Connect a URL with a password can't be"
    ) as caught:
        register(coordination="redis://:dapi-PLANTED@127.0.0.1:1/0")
    assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"token": "dapi-PLANTED"}, "token"),
        ({"endpoints": {"own": {"base_url": "http://127.0.0.1:9/v1", "token": "dapi-PLANTED"}}}, "endpoints.own.token"),
    ],
)
def test_a_token_given_by_value_is_refused(register: Register, settings: dict[str, object], where: str) -> None:
    with pytest.raises(gb.ConfigError) as caught:
        register(**settings)
    assert str(caught.value).startswith(f"{where}: on Spark Connect a token can't be given by value")
    assert "env:NAME or file:PATH" in str(caught.value)
    assert "PLANTED" not in str(caught.value)


def test_no_plan_and_nothing_that_is_written_holds_the_token(
    spark: SparkSession, register: Register, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)  # this process knows it, and still doesn't send it
    gateway = register(token=None)
    by_column = spark.range(3).select(gb.functions.ai_query(MODEL, F.col("id").cast("string")))
    by_sql = spark.sql(
        f"SELECT ai_query('{MODEL}', 'Lake ' || id), ai_query('nobody', 'x', failOnError => false) FROM range(3)"
    )
    for frame in (by_column, by_sql):
        assert TOKEN.encode() not in _plan(frame)
        assert len(frame.collect()) == 3
    assert MODEL.encode() in _plan(by_column)
    gateway.usage.flush()
    files = [path for root in (folder, tmp_path) for path in root.rglob("*") if path.is_file()]
    own = {"token.txt", "ledger.sqlite"}
    assert any(path.name == "server.log" for path in files)
    assert any(path.suffix == ".parquet" for path in files)
    assert [path for path in files if path.name not in own and TOKEN.encode() in path.read_bytes()] == []


def _plan(frame: DataFrame) -> bytes:
    """What is sent to the server."""
    remote: Any = frame
    return bytes(remote._plan.to_proto(remote._session._client).SerializeToString())


def test_a_token_from_a_file_and_a_variable_that_the_workers_do_not_have(
    spark: SparkSession, register: Register, server: RunningGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONLY_HERE", TOKEN)
    unified = {"base_url": f"{server.host}/ai-gateway/mlflow/v1", "model": MODEL}
    register(token="env:ONLY_HERE", endpoints={"own": {**unified, "token": f"file:{folder / 'token.txt'}"}})
    with pytest.raises(Exception, match="ONLY_HERE") as caught:
        spark.sql(f"SELECT ai_query('{MODEL}', 'hello')").collect()
    assert first_line(caught.value) == "no token: the environment variable ONLY_HERE is not set"
    assert server.stats()["requests"] == 0
    assert spark.sql("SELECT ai_query('own', 'hello') AS a").collect()[0].a
    assert server.stats()["requests"] == 1
