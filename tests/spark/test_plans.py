"""How many requests each shape of a query sends: the fewest that any plan could do with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from tests.conformance import echo
from tests.conformance.echo import echo_server_running
from tests.spark.conftest import Register

A = """SELECT id, 'text ' || id AS text, id % 10 AS k, id % 100 = 0 AS rare, id % 2 = 0 AS even,
    IF(id % 100 = 0, NULL, 'k') AS known FROM range(0, 1000, 1, 2)"""
B = "SELECT id * 7 AS id, id AS v FROM range(20)"
CALL, OTHER = "ai_query('hash', a.text)", "ai_query('hash', 'other ' || a.text)"

SHAPES = {
    "a filter on answers beside a join": (f"SELECT a.id FROM a JOIN b ON a.id = b.id WHERE {CALL} < '8'", 20),
    "the same in a subquery": (f"SELECT x.id FROM (SELECT * FROM a WHERE {CALL} < '8') x JOIN b ON x.id = b.id", 20),
    "the same on the right": (f"SELECT x.id FROM b JOIN (SELECT * FROM a WHERE {CALL} < '8') x ON x.id = b.id", 20),
    "two joins": (
        f"SELECT a.id FROM a JOIN b ON a.id = b.id JOIN b c ON b.v = c.id + 3 WHERE {CALL} < '8'",
        3,
    ),
    "a join by a range": (f"SELECT a.id FROM a JOIN b ON a.id < b.id AND b.v = 1 WHERE {CALL} < '8'", 7),
    "a left join": (f"SELECT b.id, x.ans FROM b LEFT JOIN (SELECT id, {CALL} AS ans FROM a) x ON x.id = b.id", 20),
    "a left join of a filter on answers": (
        f"SELECT b.id, x.k FROM b LEFT JOIN (SELECT id, k FROM a WHERE {CALL} < '8') x ON x.id = b.id",
        20,
    ),
    "IN": (f"SELECT id FROM b WHERE id IN (SELECT id FROM a WHERE {CALL} < '8')", 20),
    "EXISTS": (f"SELECT id FROM b WHERE EXISTS (SELECT 1 FROM a WHERE a.id = b.id AND {CALL} < '8')", 20),
    "NOT EXISTS": (f"SELECT id FROM b WHERE NOT EXISTS (SELECT 1 FROM a WHERE a.id = b.id AND {CALL} < '8')", 20),
    "a semi-join": (f"SELECT id FROM a LEFT SEMI JOIN b ON a.id = b.id WHERE {CALL} < '8'", 20),
    "an anti-join": (f"SELECT id FROM a LEFT ANTI JOIN b ON a.id = b.id WHERE {CALL} < '8'", 980),
    "a join that keeps nothing": (f"SELECT a.id FROM a JOIN b ON a.id = b.id AND b.v > 100 WHERE {CALL} < '8'", 0),
    "an answer above a join": (f"SELECT a.id, {CALL} AS ans FROM a JOIN b ON a.id = b.id", 20),
    "the first of each": (
        f"""SELECT * FROM (SELECT id, ans, row_number() OVER (PARTITION BY k ORDER BY id) AS n
            FROM (SELECT id, k, {CALL} AS ans FROM a)) WHERE n = 1""",
        10,
    ),
    "CASE": (f"SELECT CASE WHEN rare THEN {CALL} END AS x FROM a", 10),
    "ELSE": (f"SELECT CASE WHEN NOT rare THEN 'no' ELSE {CALL} END AS x FROM a", 10),
    "CASE in a CASE": (f"SELECT CASE WHEN even THEN CASE WHEN rare THEN {CALL} END ELSE 'odd' END AS x FROM a", 10),
    "IF": (f"SELECT IF(rare, {CALL}, 'no') AS x FROM a", 10),
    "coalesce": (f"SELECT coalesce(known, {CALL}) AS x FROM a", 10),
    "nvl": (f"SELECT nvl(known, {CALL}) AS x FROM a", 10),
    "an aggregate of a CASE": (f"SELECT max(CASE WHEN rare THEN {CALL} END) AS x FROM a", 10),
    "FILTER": (f"SELECT count({CALL}) FILTER (WHERE rare) AS x FROM a", 10),
    "a guard in HAVING": (
        f"SELECT k FROM a GROUP BY k HAVING max(IF(rare, {CALL}, NULL)) < 'z'",
        10,
    ),
    "a guard above a projection": (
        f"SELECT IF(rare, x, NULL) AS y FROM (SELECT {CALL} || '!' AS x, rare FROM a)",
        10,
    ),
    "two uses of an answer": (
        f"SELECT IF(rare, x, NULL) AS y, CASE WHEN id < 5 THEN x END AS z FROM (SELECT {CALL} AS x, rare, id FROM a)",
        14,
    ),
    "OR": (f"SELECT id FROM a WHERE even OR {CALL} < '8'", 500),
    "OR, the answer first": (f"SELECT id FROM a WHERE {CALL} < '8' OR even", 500),
    "NOT of an OR": (f"SELECT id FROM a WHERE NOT (even OR {CALL} < '8')", 500),
    "ORDER BY a column that is not selected, LIMIT": (f"SELECT {CALL} AS x FROM a ORDER BY id LIMIT 5", 5),
    "ORDER BY a renamed column, LIMIT": (f"SELECT x FROM (SELECT {CALL} AS x, id AS z FROM a) ORDER BY z LIMIT 5", 5),
    "ORDER BY an expression, LIMIT": (f"SELECT {CALL} AS x FROM a ORDER BY -id LIMIT 5", 5),
    "LIMIT": (f"SELECT {CALL} AS x FROM a LIMIT 5", 5),
    "LIMIT above a join": (f"SELECT {CALL} AS x FROM a JOIN b ON a.id = b.id ORDER BY a.id LIMIT 5", 5),
    "unused columns": (f"SELECT id FROM (SELECT id, {CALL} AS x FROM a)", 0),
    "duplicates": (f"SELECT {CALL} AS x FROM (SELECT 'text ' || (id % 10) AS text FROM range(1000)) a", 10),
    "a cheap filter beside it": (f"SELECT id FROM a WHERE {CALL} < '8' AND rare", 10),
}
"""Shapes, and the fewest requests."""


@pytest.fixture
def asked(spark: SparkSession, register: Register) -> Iterator[None]:
    with echo_server_running() as server:
        register(endpoints={"hash": {"base_url": server.replace("/v1", "/hash")}})
        for name, sql in {"a": A, "b": B}.items():
            spark.sql(sql).localCheckpoint().createOrReplaceTempView(name)  # no column is known to be made of another
        yield


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
    other.sql(A).createOrReplaceTempView("a")
    echo.BODIES.clear()
    other.sql(f"SELECT IF(rare, {CALL}, 'no') AS x FROM a").collect()
    assert len(echo.BODIES) == 10
