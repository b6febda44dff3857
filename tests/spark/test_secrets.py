"""Tokens, prompts and answers stay where they belong. A run's every trace is searched for planted markers."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path

import pytest
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession

from gateway_batch.devgateway import Settings, running
from tests.spark.conftest import MODEL, TOKEN, Register
from tests.spark.test_ledger import run_script

SECRET = "dapi-PLANTED-TOKEN-7f3a"
PROMPT = "PLANTEDPROMPT"

RUN = f"""
import os, sys, gateway_batch as gb, pyarrow as pa
from pathlib import Path
from pyarrow import parquet
host, folder = sys.argv[1], Path(sys.argv[2])
(folder / "events").mkdir()
(folder / "tmp").mkdir()
os.environ["TMPDIR"] = str(folder / "tmp")  # what processes share while queries run, answers among it
(folder / "token.txt").write_text("{SECRET}")
settings = {{
    "spark.eventLog.enabled": "true",
    "spark.eventLog.dir": (folder / "events").as_uri(),
    "spark.eventLog.compress": "false",
    "spark.local.dir": str(folder / "local"),
    "spark.log.level": "DEBUG",
}}
spark = gb.local_session(warehouse=folder / "warehouse", master="local[2]", settings=settings)
rows = [{{"t": f"{PROMPT} is a lake, number {{n}}"}} for n in range(20)]  # by Arrow: a query would show it in its plan
parquet.write_table(pa.Table.from_pylist(rows), folder / "in.parquet")
spark.read.parquet(str(folder / "in.parquet")).createOrReplaceTempView("texts")
os.environ["DATABRICKS_TOKEN"] = "{SECRET}"
for token in ("{SECRET}", "env:DATABRICKS_TOKEN", f"file:{{folder / 'token.txt'}}"):
    config = gb.GatewayConfig.from_env(host=host, token=token)
    print(repr(config), config)
    with gb.register_ai_query(spark, config) as gateway:
        frame = spark.sql("SELECT ai_query('{MODEL}', 'Summarize: ' || t) AS a FROM texts")
        frame.explain("extended")
        assert all("{PROMPT}" in row.a for row in frame.collect())
        for call in ("ai_query('nobody', t)", "ai_query('{MODEL}', t, returnType => 'INT')"):
            print(spark.sql(f"SELECT {{call[:-1]}}, failOnError => false) AS a FROM texts").first().a.errorMessage)
            try:
                spark.sql(f"SELECT {{call}} AS a FROM texts").collect()
            except Exception as error:
                print(error)
spark.stop()
"""


def test_a_run_leaves_no_token_and_no_prompt_behind(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with running(Settings(port=0, token=SECRET, ledger=tmp_path / "ledger.sqlite")) as server:
        printed = run_script(RUN, server.host, str(run))
    (run / "printed.txt").write_text(printed)
    (run / "token.txt").unlink()
    files = [path for path in run.rglob("*") if path.is_file()]
    assert any("events" in path.parts for path in files)
    assert any("tmp" in path.parts for path in files)
    assert any("_gateway_batch" in path.parts for path in files)
    assert any(path.suffix == ".parquet" and "usage" in path.parts for path in files)
    contents = {path: content_of(path) for path in files}
    assert [path for path, content in contents.items() if SECRET.encode() in content] == []
    own = {path: content for path, content in contents.items() if path.name != "in.parquet"}
    assert [path for path, content in own.items() if PROMPT.encode() in content] == []


def content_of(path: Path) -> bytes:
    """A file's bytes; a Parquet file's values, which are compressed in it."""
    return repr(parquet.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else path.read_bytes()


@pytest.mark.usefixtures("gateway")
def test_the_pickled_command_holds_no_token(spark: SparkSession, register: Register, texts: DataFrame) -> None:
    register(endpoints={"own": {"base_url": "http://127.0.0.1:9/v1", "token": SECRET}})
    for endpoint in (MODEL, "own"):
        command = _pickled_command(texts.selectExpr(f"ai_query('{endpoint}', text_column) AS a"))
        dissected = io.StringIO()
        pickletools.dis(command, dissected)
        assert f"'{endpoint}'" in dissected.getvalue()
        for secret in (SECRET, TOKEN):
            assert secret.encode() not in command
            assert secret not in dissected.getvalue()


def _pickled_command(frame: DataFrame) -> bytes:
    """The bytes of the query's one Python function, as the plan carries them."""
    expressions = frame._jdf.queryExecution().analyzed().expressions()
    function = expressions.apply(0).child().func()
    while not hasattr(function, "command"):
        function = function.children().apply(0)
    return bytes(int(byte) & 0xFF for byte in function.command().mkString(",").split(","))
