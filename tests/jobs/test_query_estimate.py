"""Estimates of queries against what the queries then send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from tests.spark.conftest import MODEL, Count, Register

OTHER = "databricks-gpt-5-5"
LAKES = "(SELECT id, 'Lake ' || (id DIV 2) || ' is a deep and quiet lake.' AS body FROM range(0, 40, 1, 3))"

QUERIES = {
    "plain": f"SELECT ai_query('{MODEL}', body) AS a FROM {LAKES}",
    "filtered": f"SELECT ai_query('{MODEL}', body) AS a FROM {LAKES} WHERE id > 9",
    "limited": f"SELECT ai_query('{MODEL}', body || id) AS a FROM {LAKES} LIMIT 7",
    "ordered": f"SELECT id, ai_query('{MODEL}', body || id) AS a FROM {LAKES} ORDER BY id DESC LIMIT 7",
    "when": f"SELECT ai_query('{MODEL}', body || id, when => id % 4 = 0) AS a FROM {LAKES}",
    "nulls": f"SELECT ai_query('{MODEL}', nullif(body, 'Lake 3 is a deep and quiet lake.')) AS a FROM {LAKES}",
    "tags": f"SELECT ai_query('{MODEL}', body, requestTags => map('id', CAST(id % 4 AS STRING))) AS a FROM {LAKES}",
    "two calls": f"SELECT ai_query('{MODEL}', body) AS a, ai_query('{OTHER}', body || '!') AS b FROM {LAKES}",
    "aggregate": f"SELECT count(ai_query('{MODEL}', body)) AS a FROM {LAKES} GROUP BY id % 3",
    "self-join": f"WITH c AS (SELECT id, ai_query('{MODEL}', body) AS a FROM {LAKES}) "
    "SELECT x.a FROM c AS x JOIN c AS y ON x.id = y.id",
    "filter on the answer": f"SELECT a FROM (SELECT id, ai_query('{MODEL}', body) AS a FROM {LAKES}) WHERE a LIKE 'L%'",
    "union": f"SELECT ai_query('{MODEL}', body) AS a FROM {LAKES} WHERE id < 30 "
    f"UNION ALL SELECT ai_query('{MODEL}', body) AS a FROM {LAKES} WHERE id > 20",
    "sub-query": f"SELECT (SELECT max(ai_query('{MODEL}', body)) FROM {LAKES}) AS a",
    "task": f"SELECT ai_summarize(body) AS a FROM {LAKES}",
    "labels of rows": f"SELECT ai_classify(body, array('deep', concat('of ', id % 2))) AS a FROM {LAKES}",
    "windowed": f"SELECT ai_query('{MODEL}', body || row_number() OVER (ORDER BY id)) AS a FROM {LAKES}",
}


@pytest.fixture(autouse=True)
def gateway(register: Register) -> gb.Gateway:
    return register()


def counted(requests: Count, estimate: Callable[[], list[gb.CallEstimate]]) -> list[gb.CallEstimate]:
    """An estimate, which sends nothing."""
    found: list[gb.CallEstimate] = []
    assert requests(lambda: found.extend(estimate())) == 0
    return found


def ask(frame: DataFrame) -> None:
    frame.write.format("noop").mode("overwrite").save()


def test_what_is_estimated_is_sent(spark: SparkSession, gateway: gb.Gateway, requests: Count) -> None:
    """The queries one after another, so that the ledger's executions are theirs in their order."""
    estimated, sent, tokens = dict[str, int](), dict[str, int](), dict[str, float]()
    for name, query in QUERIES.items():
        calls = counted(requests, partial(gb.estimate_query, gateway, query))
        estimates = [call.estimate for call in calls if call.estimate is not None]
        estimated[name] = sum(estimate.requests for estimate in estimates)
        tokens[name] = sum(estimate.input_tokens.middle for estimate in estimates)
        sent[name] = requests(partial(ask, spark.sql(query)))
    assert sent == estimated
    assert all(sent.values())
    gateway.usage.flush()
    execution = F.col("client_metadata.query_execution_id").cast("bigint")
    by_execution = (
        spark.table(gateway.usage.table).groupBy(execution.alias("id")).agg(F.sum("input_tokens").alias("took"))
    )
    took = [row.took for row in by_execution.orderBy("id").collect()]
    assert tokens == pytest.approx(dict(zip(QUERIES, took, strict=True)), rel=0.02)


def test_a_call_over_anothers_answers_is_not_known(gateway: gb.Gateway, requests: Count) -> None:
    query = f"SELECT ai_query('{OTHER}', a) AS b FROM (SELECT ai_query('{MODEL}', body) AS a FROM {LAKES})"
    outer, inner = counted(requests, lambda: gb.estimate_query(gateway, query))
    assert (outer.endpoint, outer.estimate) == (OTHER, None)
    assert inner.estimate is not None
    assert (inner.endpoint, inner.estimate.rows, inner.estimate.requests) == (MODEL, 40, 20)


def test_a_call_below_another_python_function_is_seen(
    spark: SparkSession, gateway: gb.Gateway, requests: Count
) -> None:
    shout = F.udf(lambda text: f"{text}!", "STRING")
    frame = spark.sql(f"SELECT * FROM {LAKES}").select(shout(gb.functions.ai_query(MODEL, shout("body"))).alias("a"))
    (call,) = counted(requests, lambda: gb.estimate_query(gateway, frame))
    assert call.estimate is not None
    assert requests(partial(ask, frame)) == call.estimate.requests == 20


def test_a_call_of_rows_that_an_answer_chose_is_not_known(gateway: gb.Gateway, requests: Count) -> None:
    query = (
        f"SELECT ai_query('{OTHER}', body) AS b FROM (SELECT body, ai_query('{MODEL}', body) AS a FROM {LAKES}) "
        "WHERE a LIKE 'Lake 1%'"
    )
    known = {call.endpoint: call.estimate for call in counted(requests, lambda: gb.estimate_query(gateway, query))}
    assert known[OTHER] is None
    assert known[MODEL] is not None


def test_embeddings_and_pairs(gateway: gb.Gateway, requests: Count) -> None:
    query = (
        f"SELECT ai_query('databricks-gte-large-en', body) AS v, ai_similarity(body, 'deep') AS s FROM {LAKES} AS lakes"
    )
    by_function = {
        call.function: call.estimate for call in counted(requests, lambda: gb.estimate_query(gateway, query))
    }
    vectors, pairs = by_function["ai_query"], by_function["ai_similarity"]
    assert vectors is not None
    assert pairs is not None
    assert (vectors.rows, vectors.requests) == (40, 20)
    assert (pairs.rows, pairs.requests) == (40, 21)
    assert vectors.output_tokens.middle == 0


def test_a_dataframe_and_its_settings(spark: SparkSession, register: Register, requests: Count) -> None:
    gateway = register(requests_per_minute=20)
    frame = spark.sql(f"SELECT * FROM {LAKES}").select(
        gb.functions.ai_query(MODEL, "body", modelParameters={"max_tokens": 30}).alias("a")
    )
    (call,) = counted(requests, lambda: gb.estimate_query(gateway, frame))
    assert call.estimate is not None
    assert call.estimate.output_tokens.middle == 20 * 30
    assert call.estimate.seconds == 60
    assert call.estimate.cost_usd is not None
    assert call.estimate.cost_usd.middle > 0
    (call,) = gb.estimate_query(gateway, frame, output_tokens=5)
    assert call.estimate is not None
    assert call.estimate.output_tokens.middle == 20 * 5


def test_without_a_cache_each_row_counts(register: Register, requests: Count) -> None:
    gateway = register(cache="off")
    (call,) = counted(requests, lambda: gb.estimate_query(gateway, QUERIES["plain"]))
    assert call.estimate is not None
    assert call.estimate.requests == 40
    assert "cache off" in call.estimate.assumptions[-1]


@pytest.fixture
def answered(spark: SparkSession) -> Iterator[DataFrame]:
    frame = spark.sql(f"SELECT id, ai_query('{MODEL}', body) AS a FROM {LAKES}").cache()
    yield frame
    frame.unpersist()


def test_a_cached_dataframe_is_not_filled(
    spark: SparkSession, gateway: gb.Gateway, requests: Count, answered: DataFrame
) -> None:
    answered.createOrReplaceTempView("answered")
    query = f"SELECT ai_query('{OTHER}', CAST(id AS STRING)) AS b FROM answered"

    def refused() -> list[gb.CallEstimate]:
        with pytest.raises(gb.ConfigError, match="cached DataFrame that has calls and isn't filled"):
            gb.estimate_query(gateway, query)
        return []

    counted(requests, refused)
    answered.count()
    (call,) = counted(requests, lambda: gb.estimate_query(gateway, query))
    assert call.estimate is not None
    assert call.estimate.requests == 40


def test_the_query_of_a_statement_is_estimated_and_not_run(
    spark: SparkSession, gateway: gb.Gateway, requests: Count
) -> None:
    spark.sql("CREATE TABLE estimated (a STRING) USING parquet")
    try:
        for statement in ("INSERT INTO estimated ", "CREATE TABLE estimated_new AS ",
                          "CREATE OR REPLACE TABLE estimated USING delta AS "):  # fmt: skip
            (call,) = counted(requests, partial(gb.estimate_query, gateway, statement + QUERIES["plain"]))
            assert call.estimate is not None
            assert call.estimate.requests == 20
        assert spark.table("estimated").count() == 0
        assert not spark.catalog.tableExists("estimated_new")
    finally:
        spark.sql("DROP TABLE estimated")


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("SELECT 1", "has no call"),
        ("SELEC", "can't be planned: .*PARSE_SYNTAX_ERROR"),
        ("SELECT ai_query('m') FROM range(1)", "can't be planned: .*needs its argument request"),
        ("DROP TABLE lakes_that_stay", "no query but a command"),
        ("CREATE TABLE t (id INT) USING delta", "no query but a command"),
    ],
)
def test_what_is_no_query_is_refused(spark: SparkSession, gateway: gb.Gateway, query: str, complaint: str) -> None:
    spark.range(1).createOrReplaceTempView("lakes_that_stay")
    with pytest.raises(gb.ConfigError, match=complaint):
        gb.estimate_query(gateway, query)
    assert spark.catalog.tableExists("lakes_that_stay")


def test_a_stream_is_refused(spark: SparkSession, gateway: gb.Gateway) -> None:
    stream = spark.readStream.format("rate").load().select(gb.functions.ai_query(MODEL, F.col("value").cast("string")))
    with pytest.raises(gb.ConfigError, match="is a stream"):
        gb.estimate_query(gateway, stream)


PLACES = {
    "a guard": (
        f"SELECT IF(id < 3, ai_query('{MODEL}', 'x' || id), NULL) AS a FROM range(50)",
        ["  Project > the call > Range", "  50 rows, 3 different requests, ", "  Asked where (id < 3"],
    ),
    "nothing to say": (
        f"SELECT ai_query('{MODEL}', 'x' || id) AS a FROM range(50)",
        ["  Project > the call > Range", "  50 rows, 50 different requests, "],
    ),
    "a join": (
        f"SELECT a.n FROM (SELECT 7 * id AS n, 'x' || id AS body FROM range(50)) a JOIN range(30) b ON a.n = b.id "
        f"WHERE ai_query('{MODEL}', body) LIKE '%'",
        [
            "  Project > INNER join > Project > Filter > the call > LEFT SEMI join",
            "  5 rows, 5 different requests, ",
            "  Asked for rows that meet",
        ],
    ),
    "a limit": (
        f"SELECT id FROM range(50) WHERE ai_query('{MODEL}', 'x' || id) LIKE '%' ORDER BY id DESC LIMIT 5",
        [
            "  GlobalLimit > LocalLimit > Sort > LocalLimit > Project > Filter > the call > Sort",
            "  50 rows, 50 different requests, ",
            "  Asked in the order of id DESC",
            "  Asked in pieces until 5 rows are found",
        ],
    ),
}


@pytest.mark.parametrize(("query", "lines"), PLACES.values(), ids=list(PLACES))
def test_explain_tells_where_a_call_stands_and_what_it_sends(
    gateway: gb.Gateway, requests: Count, capsys: pytest.CaptureFixture[str], query: str, lines: list[str]
) -> None:
    assert requests(partial(gateway.explain, query)) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"ai_query({MODEL!r})"
    assert [line[: len(begin)] for line, begin in zip(rest, lines, strict=False)] == lines
    assert not [line for line in rest[len(lines) :] if line.startswith("  Asked")]
