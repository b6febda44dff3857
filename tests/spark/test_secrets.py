"""No token is in what Spark sends to its executors; `test_own_session` searches all that a run leaves behind."""

from __future__ import annotations

import io
import pickletools

import pytest
from pyspark.sql import DataFrame, SparkSession

from tests.spark.conftest import MODEL, TOKEN, Register

SECRET, FIELD_SECRET = "dapi-PLANTED-TOKEN-7f3a", "PLANTED-FIELD-19c4"


def test_the_pickled_command_holds_no_token(
    spark: SparkSession, register: Register, texts: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_A_FIELD", FIELD_SECRET)
    fields = {"headers": {"x-project": "Key env:OF_A_FIELD"}, "query": {"sig": "env:OF_A_FIELD"}}
    register(endpoints={"own": {"base_url": "http://127.0.0.1:9/v1", "token": SECRET, **fields}})
    for endpoint in (MODEL, "own"):
        command = _pickled_command(texts.selectExpr(f"ai_query('{endpoint}', text_column) AS a"))
        dissected = io.StringIO()
        pickletools.dis(command, dissected)
        assert f"'{endpoint}'" in dissected.getvalue()
        for secret in (SECRET, TOKEN, FIELD_SECRET):
            assert secret.encode() not in command
            assert secret not in dissected.getvalue()


def _pickled_command(frame: DataFrame) -> bytes:
    """The bytes of the query's one Python function, as the plan carries them."""
    expressions = frame._jdf.queryExecution().analyzed().expressions()
    function = expressions.apply(0).child().func()
    while not hasattr(function, "command"):
        function = function.children().apply(0)
    return bytes(int(byte) & 0xFF for byte in function.command().mkString(",").split(","))
