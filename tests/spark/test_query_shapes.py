"""How many requests each shape of a query sends."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession

from tests.spark.conftest import MODEL, Count, Register

CALL = f"ai_query('{MODEL}', 'Summarize the following text: ' || text_column)"
ROWS = 40

pytestmark = pytest.mark.usefixtures("registered", "server", "texts")


@pytest.fixture(autouse=True)
def _clean(spark: SparkSession) -> Iterator[None]:
    yield
    for statement in (
        "DROP VIEW IF EXISTS answers_view",
        "DROP VIEW IF EXISTS answers_permanent",
        "DROP TABLE IF EXISTS answers",
        "DROP TABLE IF EXISTS source",
    ):
        spark.sql(statement)


def test_the_reference_query_sends_a_request_a_row_of_its_limit(spark: SparkSession, requests: Count) -> None:
    query = f"""SELECT ai_query(
'{MODEL}',
'Summarize the following text: ' || text_column
) AS summary
FROM my_table
LIMIT 10"""
    rows = []
    assert requests(lambda: rows.extend(spark.sql(query).collect())) <= 10
    assert len(rows) == 10
    assert all("ake" in row.summary for row in rows)


def test_a_limit_in_a_temporary_view_is_kept(spark: SparkSession, requests: Count) -> None:
    spark.sql(f"CREATE TEMPORARY VIEW answers_view AS SELECT {CALL} AS a FROM my_table LIMIT 10")
    assert requests(lambda: spark.table("answers_view").collect()) <= 10


def test_a_limit_in_create_table_as_is_kept(spark: SparkSession, requests: Count) -> None:
    query = f"CREATE TABLE answers USING DELTA AS SELECT {CALL} AS a FROM my_table LIMIT 10"
    assert requests(lambda: spark.sql(query)) == 10
    assert spark.table("answers").count() == 10


def test_a_limit_under_order_by_is_kept_with_its_order(spark: SparkSession, requests: Count) -> None:
    query = f"SELECT id, upper({CALL}) AS a FROM my_table ORDER BY id DESC LIMIT 7"
    rows: list[Row] = []
    assert requests(lambda: rows.extend(spark.sql(query).collect())) == 7
    assert [row.id for row in rows] == list(range(39, 32, -1))
    assert all(re.search(rf"\bLAKE {row.id}\b", row.a) for row in rows)


def test_a_limit_under_order_by_the_answer_needs_all_answers(spark: SparkSession, requests: Count) -> None:
    query = f"SELECT id, {CALL} AS a FROM my_table ORDER BY a LIMIT 7"
    rows: list[Row] = []
    assert requests(lambda: rows.extend(spark.sql(query).collect())) == ROWS
    assert [row.a for row in rows] == sorted(row.a for row in rows)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(f"SELECT id, {CALL} AS a FROM my_table", ROWS, id="select"),
        pytest.param(f"WITH q AS (SELECT {CALL} AS a FROM my_table) SELECT a FROM q", ROWS, id="cte"),
        pytest.param(f"SELECT id FROM my_table WHERE {CALL} LIKE '%lake%'", ROWS, id="where"),
        pytest.param(f"SELECT {CALL} AS a FROM my_table WHERE id < 7", 7, id="filter on the input"),
        pytest.param(
            f"SELECT {CALL} AS a, ai_query('{MODEL}', 'Translate: ' || text_column) AS b FROM my_table",
            2 * ROWS,
            id="beside another ai_query",
        ),
        pytest.param(f"SELECT {CALL[:-1]}, when => id < 5) AS a FROM my_table", 5, id="when"),
        pytest.param(
            f"SELECT ai_query('{MODEL}', CASE WHEN id < 5 THEN text_column END) AS a FROM my_table",
            5,
            id="null request",
        ),
        pytest.param(f"SELECT max({CALL}) AS a FROM my_table", ROWS, id="aggregate of answers"),
        pytest.param(f"SELECT ai_query('{MODEL}', 'Say hello') AS a", 1, id="no table"),
        # CASE does not guard a call: Spark answers every row before it chooses.
        pytest.param(f"SELECT CASE WHEN id < 5 THEN {CALL} END AS a FROM my_table", ROWS, id="case"),
        pytest.param(f"SELECT count(a) FROM (SELECT {CALL} AS a FROM my_table LIMIT 10)", 10, id="limit below a count"),
        # An offset keeps the limit above the calls: Spark takes partitions, of 10 rows here, until it has 15 answers.
        pytest.param(f"SELECT {CALL} AS a FROM my_table LIMIT 10 OFFSET 5", 20, id="limit and offset"),
    ],
)
def test_sends_exactly(spark: SparkSession, requests: Count, query: str, expected: int) -> None:
    assert requests(lambda: spark.sql(query).collect()) == expected


def test_a_temporary_view_sends_a_request_a_row(spark: SparkSession, requests: Count) -> None:
    spark.sql(f"CREATE TEMPORARY VIEW answers_view AS SELECT id, {CALL} AS a FROM my_table")
    assert requests(lambda: spark.sql("SELECT a FROM answers_view").collect()) == ROWS


def test_a_permanent_view_sends_a_request_a_row(spark: SparkSession, texts: DataFrame, requests: Count) -> None:
    texts.write.format("delta").saveAsTable("source")
    spark.sql(f"CREATE VIEW answers_permanent AS SELECT id, {CALL} AS a FROM source")
    assert requests(lambda: spark.sql("SELECT a FROM answers_permanent").collect()) == ROWS


def test_create_table_as_sends_a_request_a_row(spark: SparkSession, requests: Count) -> None:
    assert requests(lambda: spark.sql(f"CREATE TABLE answers USING DELTA AS SELECT {CALL} AS a FROM my_table")) == ROWS
    assert spark.sql("SELECT count(a) FROM answers").first() == (ROWS,)


def test_insert_sends_a_request_a_row(spark: SparkSession, requests: Count) -> None:
    spark.sql("CREATE TABLE answers (a STRING) USING DELTA")
    assert requests(lambda: spark.sql(f"INSERT INTO answers SELECT {CALL} FROM my_table")) == ROWS


def test_a_new_session_has_the_function(spark: SparkSession, texts: DataFrame, requests: Count) -> None:
    texts.write.format("delta").saveAsTable("source")
    other = spark.newSession()
    assert requests(lambda: other.sql(f"SELECT {CALL} AS a FROM source").collect()) == ROWS


def test_select_expr_sends_a_request_a_row(texts: DataFrame, requests: Count) -> None:
    assert requests(lambda: texts.selectExpr(f"{CALL} AS a").collect()) == ROWS


def test_registering_again_replaces_the_registration(spark: SparkSession, register: Register, requests: Count) -> None:
    first = register()
    second = register(request_tags={"round": "2"})
    assert requests(lambda: spark.sql(f"SELECT {CALL} FROM my_table LIMIT 1").collect()) == 1
    assert (first.usage.flush(), second.usage.flush()) == (1, 0)  # the same spool: whoever flushes first
    assert [row.request_tags for row in spark.table(second.usage.table).collect()] == [{"round": "2"}]


def test_a_closed_gateway_takes_its_function_along(spark: SparkSession, register: Register) -> None:
    with register():
        assert spark.sql(f"SELECT {CALL} FROM my_table").columns
    with pytest.raises(AnalysisException, match="UNRESOLVED_ROUTINE"):
        spark.sql(f"SELECT {CALL} FROM my_table")
