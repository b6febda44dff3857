"""Identical requests of a query are paid once, however often Spark evaluates them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.spark.scope import kept_queries
from tests.spark.conftest import MODEL, Count, Register

CALL = f"ai_query('{MODEL}', 'Summarize the following text: ' || text_column)"
ROWS = 40

pytestmark = pytest.mark.usefixtures("texts")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(f"SELECT a FROM (SELECT {CALL} AS a FROM my_table) WHERE a LIKE '%ake%'", ROWS, id="filter on a"),
        pytest.param(f"SELECT {CALL} AS a FROM my_table ORDER BY a", ROWS, id="order by a"),
        pytest.param(
            f"WITH q AS (SELECT id, {CALL} AS a FROM my_table) SELECT x.a, y.a FROM q AS x JOIN q AS y USING (id)",
            ROWS,
            id="self-join",
        ),
        pytest.param(
            f"SELECT r.result, r.errorMessage FROM (SELECT {CALL[:-1]}, failOnError => false) AS r FROM my_table) "
            "WHERE r.errorMessage IS NULL",
            ROWS,
            id="members of a result",
        ),
        pytest.param(f"SELECT ai_query('{MODEL}', 'the same') AS a FROM my_table", 1, id="the same prompt"),
        pytest.param(
            f"SELECT ai_query('{MODEL}', 'the same', requestTags => map('n', string(id % 3))) AS a FROM my_table",
            3,
            id="the same prompt with three tags",
        ),
        pytest.param(
            "SELECT ai_query('databricks-gte-large-en', 'Lake ' || id % 5) AS v FROM my_table", 1, id="embeddings"
        ),
    ],
)
@pytest.mark.usefixtures("gateway")
def test_sends_each_request_once(spark: SparkSession, requests: Count, query: str, expected: int) -> None:
    found: list[Row] = []
    sent = requests(lambda: found.extend(spark.sql(query).collect()))
    assert len(found) == ROWS
    # Of embeddings each of the four tasks may have its own pack before it sees the others'.
    assert sent == expected or ("gte" in query and expected <= sent <= 4)


def test_without_the_cache_each_evaluation_is_paid(spark: SparkSession, register: Register, requests: Count) -> None:
    register(cache="off")
    assert requests(lambda: spark.sql(f"SELECT {CALL} AS a FROM my_table ORDER BY a").collect()) == 2 * ROWS


def test_another_query_pays_again(spark: SparkSession, gateway: gb.Gateway, requests: Count) -> None:
    query = f"SELECT {CALL} AS a FROM my_table"
    assert requests(lambda: [spark.sql(query).collect() for _ in range(2)]) == 2 * ROWS


def test_a_row_that_always_fails_is_paid_once_for_all_tries_of_its_task(
    spark: SparkSession, gateway: gb.Gateway, server: RunningGateway
) -> None:
    server.configure(faults=[{"match": "Lake 7 ", "status": 400, "message": "no such lake"}])
    frame = spark.range(0, 100, 1, 1).selectExpr(f"ai_query('{MODEL}', 'Lake ' || id || ' is deep')")
    with pytest.raises(PythonException, match="no such lake"):
        frame.collect()
    gateway.usage.flush()
    usage = spark.table(gateway.usage.table)
    assert usage.where("status_code = 400").count() == 1
    assert usage.where("status_code = 200").count() <= 99


def test_create_table_as_with_order_by_pays_once(spark: SparkSession, gateway: gb.Gateway, requests: Count) -> None:
    try:
        query = f"CREATE TABLE paid_once USING DELTA AS SELECT id, {CALL} AS a FROM my_table ORDER BY a"
        assert requests(lambda: spark.sql(query)) == ROWS
    finally:
        spark.sql("DROP TABLE IF EXISTS paid_once")


def test_the_answers_of_a_query_that_ended_are_removed(spark: SparkSession, register: Register) -> None:
    gateway = register()
    spark.sql(f"SELECT {CALL} FROM my_table").collect()
    assert list(kept_queries(spark.sparkContext.applicationId))
    gateway.close()
    assert not list(kept_queries(spark.sparkContext.applicationId))


def test_answers_are_private_to_the_user(spark: SparkSession, gateway: gb.Gateway) -> None:
    from gateway_batch.spark.scope import query_folder

    spark.sql(f"SELECT {CALL} FROM my_table").collect()
    application = spark.sparkContext.applicationId
    folders = [query_folder(application, query) for query in kept_queries(application)]
    assert folders
    for folder in folders:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_lost_store_costs_no_answer(spark: SparkSession, gateway: gb.Gateway, texts: DataFrame) -> None:
    from gateway_batch.runtime import shared_dir

    frame = texts.selectExpr(f"{CALL} AS a")
    shutil.rmtree(Path(shared_dir(spark.sparkContext.applicationId)) / "answers", ignore_errors=True)
    assert len(frame.collect()) == ROWS
