"""How functions come into a Spark Connect session, and leave it."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

import gateway_batch as gb
from tests.connect.conftest import Register, answer, refusal


def test_another_name_and_its_end(spark: SparkSession, register: Register) -> None:
    gateway = register("ask_model")
    assert answer(spark, "ask_model('echo', 'hello')") == "hello"
    assert refusal(spark, "SELECT ai_query('echo', 'hello')").startswith("[UNRESOLVED_ROUTINE]")
    gateway.close()
    assert refusal(spark, "SELECT ask_model('echo', 'hello')").startswith("[UNRESOLVED_ROUTINE]")
    assert refusal(spark, "SELECT ai_gen('hello')").startswith("[UNRESOLVED_ROUTINE]")
    assert not [f for f in spark.catalog.listFunctions() if "_gateway_batch_" in f.name]


def test_a_function_of_someone_elses_or_of_sparks_is_not_replaced(spark: SparkSession, register: Register) -> None:
    spark.sql("CREATE TEMPORARY FUNCTION ai_gen(prompt STRING) RETURNS STRING RETURN 'theirs'")
    spark.sql("CREATE TEMPORARY FUNCTION ask_model(prompt STRING) RETURNS STRING RETURN 'theirs'")
    try:
        with pytest.raises(gb.ConfigError, match="has a function ask_model already"):
            register("ask_model")
        with pytest.raises(gb.ConfigError, match="has a function concat already"):
            register("concat")
        config = register().config
        assert answer(spark, "ai_gen('x')") == "theirs"
        with pytest.raises(gb.ConfigError, match="ai_gen is not of the registration ai_query"):
            gb.functions.ai_gen("x")
        with pytest.raises(gb.ConfigError, match=r"the session can't have a function concat: .*CANNOT_REPLACE"):
            gb.register_ai_query(spark, config, "concat", replace=True)
    finally:
        spark.sql("DROP TEMPORARY FUNCTION ai_gen")
        spark.sql("DROP TEMPORARY FUNCTION ask_model")


def test_our_function_of_a_process_that_has_gone_is_replaced(
    spark: SparkSession, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = register()
    with monkeypatch.context() as patch:
        patch.setattr("gateway_batch.spark.gateway._open", [])
        register(request_tags={"of": "new"})
        assert answer(spark, "ai_query('echo', 'hello')") == "hello"
    gone.close()
