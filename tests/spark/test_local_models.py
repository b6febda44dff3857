"""The functions of a session with small real models behind the gateway."""

from __future__ import annotations

import json

from pyspark.sql import SparkSession

from gateway_batch.devgateway import Models, Settings, running
from tests.spark.conftest import TOKEN, Register


def test_three_functions_are_answered_by_real_models(spark: SparkSession, register: Register) -> None:
    with running(Settings(port=0, token=TOKEN, models=Models.LOCAL)) as local:
        register(host=local.host)
        rows = spark.sql(
            """SELECT ai_query('databricks-gpt-5-4', text, modelParameters => named_struct('max_tokens', 8)) AS said,
                      ai_extract(text, '["animal"]') AS found,
                      ai_similarity(text, 'Ein Hund bellt.') AS near
               FROM VALUES (0, 'A dog barks.'), (1, 'Stocks fell on Monday.') AS v(place, text) ORDER BY place"""
        ).collect()
        assert local.stats()["by_status"].keys() == {"200"}
    assert all(row.said for row in rows)
    assert [json.loads(row.found.toJson())["response"].keys() for row in rows] == [{"animal"}] * 2
    assert rows[0].near > rows[1].near + 0.1
