"""How many requests each shape of a query sends."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession

from tests.spark.conftest import MODEL, Count, Register

CALL = f"ai_query('{MODEL}', 'Summarize the following text: ' || text_column)"
ROWS = 40

pytestmark = pytest.mark.usefixtures("compiled", "registered", "server", "texts")


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
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW answers_view AS SELECT {CALL} AS a FROM my_table LIMIT 10")
    assert requests(lambda: spark.table("answers_view").collect()) <= 10
    spark.catalog.dropTempView("answers_view")


def test_a_limit_in_create_table_as_is_kept(spark: SparkSession, requests: Count) -> None:
    query = f"CREATE TABLE answers USING DELTA AS SELECT {CALL} AS a FROM my_table LIMIT 10"
    assert requests(lambda: spark.sql(query)) == 10
    assert spark.table("answers").count() == 10
    spark.sql("DROP TABLE answers")


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
        pytest.param(
            f"SELECT {CALL[:-1]}, when => id < 5) AS a FROM my_table UNION ALL "
            f"SELECT ai_query('{MODEL}', CASE WHEN id < 5 THEN text_column END) FROM my_table",
            5 + 5,
            id="when, and a null request",
        ),
        pytest.param(f"SELECT count(a) FROM (SELECT {CALL} AS a FROM my_table LIMIT 10)", 10, id="limit below a count"),
        pytest.param(f"SELECT {CALL} AS a FROM my_table LIMIT 10 OFFSET 5", 10, id="limit and offset"),
    ],
)
def test_sends_exactly(spark: SparkSession, requests: Count, query: str, expected: int) -> None:
    """The other places are in `tests/conformance/70-places.toml`, each with its requests."""
    assert requests(lambda: spark.sql(query).collect()) == expected


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT {CALL} AS a FROM my_table ORDER BY id DESC LIMIT 5",
        f"SELECT id AS place, {CALL} AS a FROM my_table ORDER BY place DESC LIMIT 5",
        f"SELECT -id AS place, {CALL} AS a FROM my_table ORDER BY place LIMIT 5",
        f"SELECT upper(a) AS a FROM (SELECT id, {CALL} AS a FROM my_table ORDER BY id DESC LIMIT 5)",
        f"SELECT a FROM (SELECT id + 1 AS place, {CALL} AS a FROM my_table) ORDER BY place % 100 DESC LIMIT 5",
        f"SELECT {CALL} AS a, ai_query('{MODEL}', 'x' || id) AS b FROM my_table ORDER BY id DESC LIMIT 5",
    ],
    ids=["not selected", "renamed", "computed", "dropped above", "computed, not selected", "two calls"],
)
def test_an_order_that_needs_no_answers_takes_its_rows_first(spark: SparkSession, requests: Count, query: str) -> None:
    found: list[Row] = []
    sent = requests(lambda: found.extend(spark.sql(query).collect()))
    assert sent == (10 if "AS b" in query else 5)
    texts = [f"Lake {id_} " for id_ in range(ROWS - 1, ROWS - 6, -1)]
    assert all(text.strip().lower() in row.a.lower() for text, row in zip(texts, found, strict=True))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        pytest.param(lambda frame: frame.show(3), 4, id="show asks for one more, to know that there are more"),
        pytest.param(lambda frame: frame.take(3), 3, id="take"),
        pytest.param(lambda frame: frame.tail(3), 10, id="tail reads its partitions, of 10 rows here, to their end"),
        pytest.param(lambda frame: frame.isEmpty(), 0, id="isEmpty asks for no column"),
    ],
)
def test_an_action_sends_exactly(
    texts: DataFrame, requests: Count, action: Callable[[DataFrame], object], expected: int
) -> None:
    assert requests(lambda: action(texts.selectExpr(f"{CALL} AS a"))) == expected


def test_a_new_session_has_the_function(spark: SparkSession, requests: Count) -> None:
    query = f"SELECT ai_query('{MODEL}', 'Lake ' || id) AS a FROM range(3)"
    assert requests(lambda: spark.newSession().sql(query).collect()) == 3


def test_select_expr_sends_a_request_a_row(texts: DataFrame, requests: Count) -> None:
    assert requests(lambda: texts.limit(3).selectExpr(f"{CALL} AS a").collect()) == 3


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
