"""How many requests each shape of a query sends: the fewest that any plan could do with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from benchmarks.query_shapes import CALL, SHAPES, TABLES
from tests.conformance import echo
from tests.conformance.echo import echo_server_running
from tests.spark.conftest import Register

OTHER = "ai_query('hash', 'other ' || a.text)"


@pytest.fixture
def asked(spark: SparkSession, register: Register) -> Iterator[None]:
    with echo_server_running() as server:
        register(endpoints={"hash": {"base_url": server.replace("/v1", "/hash")}})
        spark.conf.set("spark.gateway_batch.optimizer", "strict")
        for name, sql in TABLES.items():
            spark.sql(sql).localCheckpoint().createOrReplaceTempView(name)  # no column is known to be made of another
        yield
    spark.conf.unset("spark.gateway_batch.optimizer")


def test_each_shape_sends_the_fewest(spark: SparkSession, asked: None) -> None:
    sent = {}
    for name, (sql, _) in SHAPES.items():
        echo.BODIES.clear()
        found = sorted(map(repr, spark.sql(sql).collect()))
        sent[name] = len(echo.BODIES)
        by_spark = sql.replace("ai_query('hash', ", "md5(")
        assert found == sorted(map(repr, spark.sql(by_spark).collect())), name
    assert sent == {name: fewest for name, (_, fewest) in SHAPES.items()}


def test_two_filters_ask_the_second_for_what_passes_the_first(spark: SparkSession, asked: None) -> None:
    echo.BODIES.clear()
    found = spark.sql(f"SELECT id FROM a WHERE {CALL} < '8' AND {OTHER} < '8'").count()
    passed = spark.sql("SELECT id FROM a WHERE md5(text) < '8'").count()
    assert len(echo.BODIES) == 1_000 + passed
    assert found == spark.sql("SELECT id FROM a WHERE md5(text) < '8' AND md5('other ' || text) < '8'").count()


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT id FROM a WHERE {CALL} < '{{}}' LIMIT {{}}",
        f"SELECT * FROM (SELECT id, {CALL} AS x FROM a) WHERE x < '{{}}' LIMIT {{}}",
    ],
    ids=["filter", "answer selected"],
)
def test_a_limit_above_a_filter_on_answers_stops_early(spark: SparkSession, asked: None, query: str) -> None:
    for least, selectivity in {"8": 0.5, "1": 1 / 16}.items():
        for limit in (1, 5, 20):
            echo.BODIES.clear()
            rows = spark.sql(query.format(least, limit)).collect()
            assert len(rows) == limit
            assert len(echo.BODIES) <= 4 * limit / selectivity + 16, (least, limit)


def test_a_row_whose_answer_is_not_read_fails_no_query(spark: SparkSession, register: Register) -> None:
    with echo_server_running() as server:
        register(endpoints={"nobody": {"base_url": server.replace("/v1", "/raw")}})  # the prompt is the answer's body
        rows = spark.sql(
            "SELECT IF(id = 7, 'no', ai_query('nobody', p)) AS x FROM (SELECT id, IF(id = 7, 'no JSON', "
            """'{"choices": [{"message": {"content": "yes"}}]}') AS p FROM range(10))"""
        ).collect()
    assert sorted(row.x for row in rows) == ["no", *["yes"] * 9]


def test_a_new_session_has_the_rules_too(spark: SparkSession, asked: None) -> None:
    other = spark.newSession()
    other.sql(TABLES["a"]).createOrReplaceTempView("a")
    echo.BODIES.clear()
    other.sql(f"SELECT IF(rare, {CALL}, 'no') AS x FROM a").collect()
    assert len(echo.BODIES) == 10
