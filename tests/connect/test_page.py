"""The code of docs/connect.md, as it is written there but for the server's address."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.connect.conftest import TOKEN
from tests.pages import blocks


def test_the_code_runs(
    spark: SparkSession,
    server: RunningGateway,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spark.sql("SELECT 'The boat was late.' AS review").createOrReplaceTempView("reviews")
    settings = {"DATABRICKS_HOST": server.host, "DATABRICKS_TOKEN": TOKEN, "GATEWAY_BATCH_USAGE_TABLE": "of_page.usage"}
    for name, value in {**settings, "GATEWAY_BATCH_SPOOL_DIR": str(tmp_path / "spool")}.items():
        monkeypatch.setenv(name, value)
    (block,) = blocks("docs/connect.md", "python")
    assert "sc://host:15002" in block.text
    exec(compile(block.text.replace("sc://host:15002", address), str(block), "exec"), {})
    shown = capsys.readouterr().out
    assert "The boat was" in shown
    assert server.stats()["requests"] == 2
