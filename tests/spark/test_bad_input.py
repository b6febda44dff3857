"""Bad input gets one clear error, and nothing is lost."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException, PythonException
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.cli.demo import load_texts
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.session.messages import first_line
from tests.spark.conftest import MODEL, Register

USAGE = "bad_input.usage"
"""A table for all tests that only count what a flush adds."""


def failure(spark: SparkSession, query: str) -> str:
    """The message of an error found while the query is analysed: one line, no stack."""
    with pytest.raises(IllegalArgumentException) as caught:
        spark.sql(query)
    message = str(caught.value)
    assert "\n" not in message
    assert "py4j" not in message
    return message


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("call", "starts", "contains"),
    [
        ("ai_query(id, 'x')", "[DATATYPE_MISMATCH.NON_FOLDABLE_INPUT] ", "endpoint"),
        ("ai_query('m', 'x', returnType => 'FOO<')", "[AI_FUNCTION_UNSUPPORTED_RETURN_TYPE] ", "FOO<"),
        ("ai_query('m', 'x', returnType => 'VARIANT')", "[AI_FUNCTION_UNSUPPORTED_RETURN_TYPE] ", "variant"),
        ("ai_query('two words', 'x')", "'two words' is not the name of an endpoint", ""),
        (
            "ai_query('m', 'x', modelParameters => named_struct('model', 'n'))",
            "[AI_FUNCTION_INVALID_MODEL_PARAMETERS.FOUND_RESERVED_PARAMETER_NAME] ",
            "model",
        ),
    ],
)
def test_a_wrong_argument_is_found_before_anything_is_sent(
    spark: SparkSession, server: RunningGateway, call: str, starts: str, contains: str
) -> None:
    """One of each kind of error; `tests/conformance` has the arguments."""
    message = failure(spark, f"SELECT {call} FROM range(2)")
    assert message.startswith(starts)
    assert contains in message
    assert server.stats()["requests"] == 0


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    "call",
    [
        f"ai_query('{MODEL}', text, failOnError => false)",
        f"ai_query('{MODEL}', id, requestTags => map('t', text), failOnError => false)",
        "ai_query('databricks-gte-large-en', text, failOnError => false)",
    ],
    ids=["prompt", "tag", "embedding"],
)
def test_a_text_that_is_not_utf_8_is_an_error_of_its_row(
    spark: SparkSession, server: RunningGateway, call: str
) -> None:
    texts = ["'a lake'", "CAST(X'636166E9' AS STRING)", "'a sea'", "CAST(X'C3' AS STRING)", "CAST(NULL AS STRING)"]
    rows = ", ".join(f"({place}, {text})" for place, text in enumerate(texts))
    found = spark.sql(f"SELECT id, {call} AS a FROM VALUES {rows} AS v(id, text)").collect()
    errors = {row.id: row.a.errorMessage for row in found if row.a is not None}
    assert [errors[place] is None for place in range(4)] == [True, False, True, False]
    assert "not UTF-8 from byte 3 on" in errors[1]
    assert "not UTF-8 from byte 0 on" in errors[3]
    assert all(row.a.result is not None for row in found if row.id in (0, 2))
    assert "caf" not in errors[1]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("endpoint", [MODEL, "databricks-gte-large-en"])
def test_a_text_that_is_not_utf_8_ends_a_query_that_fails_on_errors(spark: SparkSession, endpoint: str) -> None:
    with pytest.raises(PythonException, match="not UTF-8 from byte 3 on"):
        spark.sql(f"SELECT ai_query('{endpoint}', CAST(X'636166E9' AS STRING))").collect()


def answer(spark: SparkSession, endpoint: str = MODEL) -> Any:
    row = spark.sql(f"SELECT ai_query('{endpoint}', 'x', failOnError => false) AS a").first()
    assert row is not None
    return row.a


def test_the_one_line_of_a_failed_query_is_ours(spark: SparkSession, register: Register) -> None:
    register(token="not-the-token")
    with pytest.raises(PythonException) as caught:
        spark.sql(f"SELECT ai_query('{MODEL}', 'x')").collect()
    line = first_line(caught.value)
    assert line.startswith("[AI_FUNCTION_HTTP_REQUEST_ERROR] Error occurred while making an HTTP request")
    assert "401" in line
    assert "not-the-token" not in line
    assert line.endswith("SQLSTATE: 08000")


def test_an_input_file_without_the_named_column_is_said(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("title,review\nA,good\n")
    with pytest.raises(gb.ConfigError, match=r"has no column 'text'; it has title, review"):
        load_texts(spark, path, "text", 10)


def test_a_service_that_takes_no_call_is_said(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoints = {
            "denied": {"base_url": f"{server.host}/ai-gateway/mlflow/v1", "token": "not-the-token"},
            "away": {"base_url": f"http://127.0.0.1:{unused.getsockname()[1]}/v1"},
        }
        gateway = register(endpoints=endpoints, max_attempts=2, usage_table=USAGE)
        calls = (f"ai_query('{name}', 'x', failOnError => false)" for name in ("denied", "main.default.nobody", "away"))
        rows = spark.sql(" UNION ALL ".join(f"SELECT {call}.errorMessage AS e" for call in calls)).collect()
    denied, nobody, away = (row.e for row in rows)
    assert "401" in denied
    assert "not-the-token" not in denied
    assert "404" in nobody
    assert "main.default.nobody" in nobody
    assert "could not connect" in away
    assert gateway.usage.flush() == 1 + 1 + 2


def test_no_host_is_said_when_the_query_is_analysed(
    spark: SparkSession, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    register(host=None, token=None)
    assert failure(spark, f"SELECT ai_query('{MODEL}', 'x')").startswith(
        f"no gateway is configured for endpoint '{MODEL}'"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"request_tags": {"a": 1}}, "request_tags: must map strings to strings"),
        ({"request_tags": "a=b"}, "request_tags: "),
        ({"host": "http://user:secret@host"}, "host: is not a base URL"),
        ({"max_concurrency": 0}, "max_concurrency: "),
        ({"usage_table": "a b"}, "usage_table: is not a table name"),
        ({"colour": "red"}, "colour: no such setting"),
        ({"token": "two words"}, "token: the token is empty or has spaces"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(gb.ConfigError) as caught:
        gb.GatewayConfig.from_env(**settings)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_a_spool_folder_that_cannot_be_written_is_said(spark: SparkSession, register: Register, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(gb.LedgerError, match=r"spool folder .* can't be written"):
        register(spool_dir=str(blocked / "spool"))


def test_a_spool_that_fails_in_mid_run_sends_nothing(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(usage_table=USAGE)
    answer(spark)
    active, away = gateway.usage.spool_dir / "active", gateway.usage.spool_dir / "away"
    active.rename(away)
    active.write_text("in the way")
    server.reset()
    with pytest.raises(PythonException, match=r"LedgerError: .*nothing (more )?is sent"):
        spark.sql(f"SELECT ai_query('{MODEL}', 'x')").collect()
    assert server.stats()["requests"] == 0
    active.unlink()
    away.rename(active)
    assert gateway.usage.flush() == 1


def test_a_table_that_cannot_be_written_keeps_the_records(spark: SparkSession, register: Register) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS other")
    spark.sql("CREATE OR REPLACE TABLE other.taken (a INT) USING DELTA")
    gateway = register(usage_table="other.taken")
    answer(spark)
    with pytest.raises(gb.LedgerError, match=r"other\.taken can't be written"):
        gateway.usage.flush()
    spark.sql("DROP TABLE other.taken")
    assert gateway.usage.flush() == 1
    spark.sql("DROP TABLE other.taken")


def test_what_is_no_session_is_refused() -> None:
    with pytest.raises(gb.ConfigError, match="spark: is no Spark session, but object"):
        gb.register_ai_query(object())  # type: ignore[arg-type]


def test_a_function_that_is_not_ours_keeps_its_place_unless_asked(
    spark: SparkSession, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_batch.spark.gateway.Usage.flush", lambda _: 0)
    gateway = register()
    spark.udf.register("their_query", lambda text: text)
    with pytest.raises(gb.ConfigError, match="has a function their_query already"):
        register(name="their_query")
    assert spark.sql("SELECT their_query('x') AS a").collect()[0].a == "x"
    with gb.register_ai_query(spark, gateway.config, "their_query", replace=True):
        assert "stand-in" in spark.sql(f"SELECT their_query('{MODEL}', 'A lake is deep.') AS a").collect()[0].a
