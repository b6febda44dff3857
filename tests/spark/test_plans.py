"""How many requests each shape of a query sends: the fewest that any plan could do with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark import RDD
from pyspark.sql import Column, Row, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from benchmarks.query_shapes import CALL, SHAPES, TABLES
from gateway_batch.spark.session.jvm import jvm_of
from tests.conformance import echo
from tests.conformance.echo import echo_server_running
from tests.spark.conftest import Register
from tests.waiting import wait_until_idle

pytestmark = pytest.mark.usefixtures("compiled")

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


def test_the_rules_are_done_after_a_few_rounds(spark: SparkSession, asked: None) -> None:
    """Spark repeats rules until they change nothing, a hundred times at most, and says so only in its log."""
    nested = f"SELECT id FROM a WHERE ai_query('hash', {CALL}) < '8' ORDER BY k LIMIT 3"
    queries = [nested, *(sql for sql, _ in SHAPES.values())]
    executor = jvm_of(spark).scala_object("org.apache.spark.sql.catalyst.rules.RuleExecutor")
    executor.resetMetrics()
    for query in queries:
        spark.sql(query)._jdf.queryExecution().optimizedPlan()
    rounds = re.search(r"CallsAfterOthers .* / (\d+)", executor.dumpTimeSpent())
    assert rounds is not None
    assert len(queries) < int(rounds[1]) <= 4 * len(queries)


def test_two_filters_ask_the_second_for_what_passes_the_first(spark: SparkSession, asked: None) -> None:
    echo.BODIES.clear()
    found = spark.sql(f"SELECT id FROM a WHERE {CALL} < '8' AND {OTHER} < '8'").count()
    passed = spark.sql("SELECT id FROM a WHERE md5(text) < '8'").count()
    assert len(echo.BODIES) == 1_000 + passed
    assert found == spark.sql("SELECT id FROM a WHERE md5(text) < '8' AND md5('other ' || text) < '8'").count()


def test_the_shorter_of_two_prompts_is_asked_first(spark: SparkSession, asked: None) -> None:
    echo.BODIES.clear()
    found = spark.sql(f"SELECT id FROM a WHERE ai_query('hash', repeat(text, 20)) < '8' AND {CALL} < '1'").count()
    passed = spark.sql("SELECT id FROM a WHERE md5(text) < '1'").count()
    assert len(echo.BODIES) == 1_000 + passed
    assert found == spark.sql("SELECT id FROM a WHERE md5(repeat(text, 20)) < '8' AND md5(text) < '1'").count()


@pytest.mark.parametrize(
    ("query", "limits"),
    [
        (f"SELECT id FROM a WHERE {CALL} < '{{}}' LIMIT {{}}", (1, 5, 20)),
        (f"SELECT * FROM (SELECT id, {CALL} AS x FROM a) WHERE x < '{{}}' LIMIT {{}}", (1, 20)),
        (f"SELECT id FROM a WHERE {CALL} < '{{}}' ORDER BY k, id DESC LIMIT {{}}", (1, 20)),
        (f"SELECT id FROM a WHERE {CALL} < '{{}}' ORDER BY k, id LIMIT {{}} OFFSET 3", (20,)),
        (f"SELECT x FROM (SELECT {CALL} AS x, -id AS n FROM a) WHERE x < '{{}}' ORDER BY n LIMIT {{}}", (5,)),
        (f"SELECT id FROM a JOIN (SELECT id AS c FROM range(10)) ON k = c WHERE {CALL} < '{{}}' LIMIT {{}}", (1, 20)),
        (f"SELECT id FROM (SELECT id AS c FROM range(9)) JOIN a ON k > c WHERE {CALL} < '{{}}' LIMIT {{}}", (5,)),
    ],
    ids=["filter", "answer selected", "order", "offset", "order, answer selected", "join", "join on the right"],
)
def test_a_limit_above_a_filter_on_answers_stops_early(
    spark: SparkSession, asked: None, query: str, limits: Sequence[int]
) -> None:
    for least, selectivity in {"8": 0.5, "1": 1 / 16}.items():
        for limit in limits:
            echo.BODIES.clear()
            rows = spark.sql(sql := query.format(least, limit)).collect()
            wait_until_idle(spark)
            assert len(rows) == limit
            assert len(echo.BODIES) <= 4 * limit / selectivity + 16, (least, limit)
            assert "ORDER BY" not in sql or rows == spark.sql(sql.replace("ai_query('hash', ", "md5(")).collect()


def test_one_task_looks_for_a_sorted_limit_of_ten_thousand_rows_at_most(spark: SparkSession, asked: None) -> None:
    def plan(limit: int) -> str:
        query = spark.sql(f"SELECT id FROM a WHERE {CALL} < '8' ORDER BY k LIMIT {limit}")
        return str(query._jdf.queryExecution().optimizedPlan().toString())

    assert "Repartition 1, true" in plan(10_000)
    assert "Repartition" not in plan(10_001)


def test_a_row_whose_answer_is_not_read_fails_no_query(spark: SparkSession, register: Register) -> None:
    with echo_server_running() as server:
        register(endpoints={"nobody": {"base_url": server.replace("/v1", "/raw")}})  # the prompt is the answer's body
        rows = spark.sql(
            "SELECT IF(id = 7, 'no', ai_query('nobody', p)) AS x FROM (SELECT id, IF(id = 7, 'no JSON', "
            """'{"choices": [{"message": {"content": "yes"}}]}') AS p FROM range(10))"""
        ).collect()
    assert sorted(row.x for row in rows) == ["no", *["yes"] * 9]


TRUTHS = """SELECT 9 * p + 3 * q + n AS id, 'text ' || (9 * p + 3 * q + n) AS text, n,
    CASE p WHEN 0 THEN false WHEN 1 THEN true END AS p, CASE q WHEN 0 THEN false WHEN 1 THEN true END AS q
    FROM (SELECT explode(array(0, 1, 2)) AS p) JOIN (SELECT explode(array(0, 1, 2)) AS q)
    JOIN (SELECT explode(array(0, 1, 2)) AS n)"""
YES = f"{CALL} < '8'"
READ = {
    f"SELECT id, CASE WHEN p THEN {CALL} END AS x FROM a": "p",
    f"SELECT id, CASE WHEN NOT p THEN {CALL} ELSE 'no' END AS x FROM a": "NOT p",
    f"SELECT id, CASE WHEN p THEN 'no' WHEN q THEN {CALL} END AS x FROM a": "p IS NOT true AND q",
    f"SELECT id, CASE WHEN p THEN IF(q IS NULL, {CALL}, 'no') END AS x FROM a": "p AND q IS NULL",
    f"SELECT id, IF(p AND q, {CALL}, 'no') AS x FROM a": "p AND q",
    f"SELECT id, IF(p AND q, 'no', {CALL}) AS x FROM a": "(p AND q) IS NOT true",
    f"SELECT id, IF(NOT (p OR q), {CALL}, 'no') AS x FROM a": "NOT (p OR q)",
    f"SELECT id, IF(NOT (p AND q), {CALL}, 'no') AS x FROM a": "NOT (p AND q)",
    f"SELECT id, IF(p <=> q, {CALL}, 'no') AS x FROM a": "p <=> q",
    f"SELECT id, coalesce(IF(p, 'known', NULL), {CALL}) AS x FROM a": "p IS NOT true",
    f"SELECT id, nullif(IF(p, {CALL}, 'no'), 'no') AS x FROM a": "p",
    f"SELECT id, CASE WHEN p AND {YES} THEN 'yes' WHEN q THEN 'q' END AS x FROM a": "p",
    f"SELECT id, IF({YES} AND (p OR q), 'yes', 'no') AS x FROM a": "p OR q",
    f"SELECT id, p AND {YES} AS x FROM a": "p IS NOT false",
    f"SELECT id, p OR {YES} AS x FROM a": "p IS NOT true",
    f"SELECT id, NOT (p OR {YES}) AS x FROM a": "p IS NOT true",
    f"SELECT id, NOT (p AND {YES}) AS x FROM a": "p IS NOT false",
    f"SELECT id FROM a WHERE p AND {YES}": "p",
    f"SELECT id FROM a WHERE p OR {YES}": "p IS NOT true",
    f"SELECT id FROM a WHERE NOT (p OR {YES})": "NOT p",
    f"SELECT id FROM a WHERE NOT (p AND {YES})": "p IS NOT false",
    f"SELECT id FROM a WHERE (p OR {YES}) AND q": "q AND p IS NOT true",
    f"SELECT n, max({CALL}) FILTER (WHERE p) AS x FROM a GROUP BY n": "p",
    f"SELECT n, count(IF(p AND NOT q, {CALL}, NULL)) AS x FROM a GROUP BY n": "p AND NOT q",
    f"SELECT n FROM a GROUP BY n HAVING max(CASE WHEN p IS NULL THEN {CALL} END) < 'z'": "p IS NULL",
    f"SELECT a.id FROM a JOIN a c ON a.id = c.id AND (a.p OR {YES})": "p IS NOT true",
    f"SELECT a.id, c.id AS y FROM a LEFT JOIN a c ON a.id = c.id AND a.q AND {YES}": "q",
}


def test_an_answer_is_asked_for_where_a_condition_of_true_false_or_null_lets_it_be_read(
    spark: SparkSession, asked: None
) -> None:
    spark.sql(TRUTHS).localCheckpoint().createOrReplaceTempView("a")
    sent, fewest = {}, {}
    for query, condition in READ.items():
        echo.BODIES.clear()
        found = sorted(map(repr, spark.sql(query).collect()))
        sent[query] = len(echo.BODIES)
        fewest[query] = spark.table("a").where(condition).count()
        assert found == sorted(map(repr, spark.sql(query.replace("ai_query('hash', ", "md5(")).collect())), query
    assert sent == fewest


def test_a_condition_that_fails_for_one_use_hides_no_other(spark: SparkSession, asked: None) -> None:
    answers = f"(SELECT {CALL} AS x, id, even FROM a) WHERE NOT even OR x >= '0'"
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        spark.sql(f"SELECT IF(10 / id > 1, x, NULL) AS y FROM {answers}").collect()


def test_a_new_session_has_the_rules_too(spark: SparkSession, asked: None) -> None:
    other = spark.newSession()
    other.sql(TABLES["a"]).createOrReplaceTempView("a")
    echo.BODIES.clear()
    other.sql(f"SELECT IF(rare, {CALL}, 'no') AS x FROM a").collect()
    assert len(echo.BODIES) == 10


GUARDED = f"SELECT id, CASE WHEN rare THEN {CALL} END AS x FROM a"
MERGE = f"MERGE INTO plans.kept t USING (SELECT * FROM a) a ON t.id = a.id WHEN MATCHED {{}} AND {CALL} < 'z' "
STATEMENTS = {
    f"CREATE TABLE plans.made USING delta AS {GUARDED}": 10,
    f"INSERT INTO plans.made {GUARDED}": 10,
    f"INSERT INTO plans.long (id, x) {GUARDED}": 10,  # whose generated column reads the answer too
    f"{MERGE.format('')} THEN UPDATE SET s = 'met'": 20,
    f"{MERGE.format('AND rare')} THEN UPDATE SET s = 'met'": 1,
    "UPDATE plans.kept SET s = 'again' WHERE v < 3 AND ai_query('hash', concat('u ', id)) < 'z'": 3,
    "DELETE FROM plans.kept WHERE v < 2 AND ai_query('hash', concat('d ', id)) < 'z'": 2,
}


def test_statements_and_actions_go_the_same_way(spark: SparkSession, asked: None) -> None:
    spark.sql("CREATE SCHEMA plans")
    spark.sql("CREATE TABLE plans.kept USING delta AS SELECT id, v, 'x' AS s FROM b")
    table = DeltaTable.create(spark).tableName("plans.long").addColumn("id", "LONG").addColumn("x", "STRING")
    table.addColumn("length", "INT", generatedAlwaysAs="length(x)").execute()
    guarded = spark.table("a").select(F.when(F.col("rare"), gb.functions.ai_query("hash", "text")).alias("x"))
    spark.sql(f"CREATE TEMPORARY VIEW answered AS SELECT id, rare, {CALL} AS x FROM a")
    sorts: list[RDD[Row]] = []
    actions: dict[str, tuple[Callable[[], object], int]] = {
        **{sql: (partial(spark.sql, sql), fewest) for sql, fewest in STATEMENTS.items()},
        "a cached frame": (lambda: guarded.cache().count(), 10),
        "a temporary view": (spark.sql("SELECT IF(rare, x, NULL) AS y FROM answered").collect, 10),
        "a temporary view in a join": (spark.sql("SELECT x FROM b JOIN answered ON b.id = answered.id").collect, 20),
        "foreachPartition": (lambda: spark.table("a").select(_rare("p")).foreachPartition(lambda rows: None), 10),
        "foreach": (lambda: spark.table("a").select(_rare("f")).foreach(lambda row: None), 10),
        "rdd": (spark.table("a").select(_rare("r")).rdd.collect, 10),
        "an RDD of a sort, evaluated twice": (
            lambda: sorts.append(spark.sql(f"{GUARDED} ORDER BY x").rdd),
            10,
        ),
        "the same RDD": (lambda: sorts[0].collect(), 0),
        "the same RDD again": (lambda: sorts[0].collect(), 0),
    }
    sent = {}
    for name, (run, _) in actions.items():
        echo.BODIES.clear()
        run()
        sent[name] = len(echo.BODIES)
    guarded.unpersist()
    spark.sql("DROP VIEW answered")
    spark.sql("DROP SCHEMA plans CASCADE")
    assert sent == {name: fewest for name, (_, fewest) in actions.items()}


def _rare(prefix: str) -> Column:
    return F.when(F.col("rare"), gb.functions.ai_query("hash", F.concat(F.lit(prefix), "text"))).alias("x")


def test_a_stream_asks_for_the_rows_that_are_left(spark: SparkSession, asked: None, tmp_path: Path) -> None:
    spark.table("a").write.format("parquet").save(str(tmp_path / "in"))
    stream = spark.readStream.schema(spark.table("a").schema).parquet(str(tmp_path / "in"))
    stream.createOrReplaceTempView("coming")
    query = "SELECT c.id FROM coming c JOIN b ON c.id = b.id WHERE ai_query('hash', c.text) < 'z'"
    echo.BODIES.clear()
    started = spark.sql(query).writeStream.format("noop").option("checkpointLocation", str(tmp_path / "seen"))
    started.trigger(availableNow=True).start().awaitTermination()
    assert len(echo.BODIES) == 20
