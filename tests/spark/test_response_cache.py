"""Identical requests of a query are paid once, however often Spark evaluates them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from gateway_batch.response_cache import Savings
from gateway_batch.response_cache.process_cache import shared_dir
from gateway_batch.spark.calls.scope import kept_queries
from gateway_batch.spark.session.sql_text import literal
from tests.redis_server import redis_running
from tests.spark.conftest import MODEL, Count, Register

CALL = f"ai_query('{MODEL}', 'Summarize the following text: ' || text_column)"
ROWS = 40

pytestmark = pytest.mark.usefixtures("texts")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(f"SELECT a FROM (SELECT {CALL} AS a FROM my_table) WHERE a LIKE '%ake%'", ROWS, id="filter on a"),
        pytest.param(f"SELECT {CALL} AS a FROM my_table ORDER BY a", ROWS, id="order by a"),
        pytest.param(f"SELECT {CALL} AS a FROM my_table", ROWS, id="plain"),
        pytest.param(f"SELECT id, {CALL} AS a FROM my_table ORDER BY id", ROWS, id="order by id"),
        pytest.param(
            f"SELECT row_number() OVER (PARTITION BY a ORDER BY id) AS n FROM (SELECT id, {CALL} AS a FROM my_table)",
            ROWS,
            id="window",
        ),
        pytest.param(f"SELECT /*+ REPARTITION(3) */ id, {CALL} AS a FROM my_table", ROWS, id="repartition"),
        pytest.param(f"SELECT /*+ REPARTITION(3, a) */ id, {CALL} AS a FROM my_table", ROWS, id="repartition by a"),
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


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"SELECT {CALL} AS a FROM my_table UNION ALL SELECT {CALL} FROM my_table", id="union with itself"),
        pytest.param(
            f"WITH q AS (SELECT id, {CALL} AS a FROM my_table) "
            "SELECT a FROM q WHERE id % 2 = 0 UNION ALL SELECT max(a) FROM q GROUP BY id",
            id="CTE used twice",
        ),
    ],
)
@pytest.mark.usefixtures("gateway")
def test_a_query_of_several_parts_sends_each_request_once(spark: SparkSession, requests: Count, query: str) -> None:
    assert requests(lambda: spark.sql(query).collect()) == ROWS


def of_queries(gateway: gb.Gateway) -> list[Savings]:
    """What was saved, but for actions on RDDs."""
    return [counts for query, counts in gateway.saved().items() if isinstance(query, int)]


def read(rows: Iterable[Row]) -> None:
    assert len(list(rows)) > 0


ON_RDDS: dict[str, Callable[[DataFrame], object]] = {
    "rdd": lambda frame: frame.rdd.collect(),
    "toJSON": lambda frame: frame.toJSON().collect(),
    "foreach": lambda frame: frame.foreach(lambda row: None),
    "foreachPartition": lambda frame: frame.foreachPartition(read),
    "a cached frame's rdd": lambda frame: frame.cache().rdd.count(),
}


@pytest.mark.filterwarnings("ignore:The return type of DataFrame.toJSON")
def test_an_action_on_an_rdd_sends_each_request_once_and_is_a_run(
    spark: SparkSession, gateway: gb.Gateway, requests: Count
) -> None:
    for name, action in ON_RDDS.items():
        prompt = literal(f"{name}, one of ")
        frame = spark.sql(f"SELECT ai_query('{MODEL}', {prompt} || id % 2) AS a FROM my_table")
        assert requests(partial(action, frame)) == 2, name
        frame.unpersist()
        assert tuple(list(gateway.saved().values())[-1]) == (2, ROWS - 2), name
    gateway.usage.flush()
    schema = gateway.usage.table.partition(".")[0]
    runs = spark.sql(f"SELECT * FROM {schema}.ai_query_runs").collect()
    assert len({run.query_execution_id for run in runs}) == len(runs) == len(ON_RDDS)
    for run in runs:
        assert (run.rows, run.requests, run.saved, run.attempts) == (ROWS, 2, ROWS - 2, 2)
        assert run.query_execution_id.startswith("stage-")


@pytest.mark.usefixtures("gateway")
def test_a_failing_row_of_an_action_on_an_rdd_is_sent_once(
    spark: SparkSession, server: RunningGateway, requests: Count
) -> None:
    server.configure(faults=[{"match": "bad", "status": 400}])
    frame = spark.sql(f"SELECT ai_query('{MODEL}', IF(id = 7, 'bad', 'one of ' || id)) AS a FROM range(0, 10, 1, 1)")

    def fails() -> None:
        with pytest.raises(Exception, match="AI_FUNCTION_HTTP_REQUEST_ERROR"):
            frame.rdd.collect()

    assert requests(fails) <= 10


@pytest.mark.usefixtures("gateway")
def test_merge_pays_once(spark: SparkSession, requests: Count) -> None:
    merge = (
        f"MERGE INTO merged USING (SELECT id, {CALL} AS a FROM my_table) AS s ON merged.id = s.id "
        "WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a)"
    )
    try:
        spark.sql("CREATE TABLE merged USING DELTA AS SELECT id, 'old' AS a FROM my_table WHERE id % 2 = 0")
        assert requests(lambda: spark.sql(merge)) == ROWS
        assert spark.table("merged").where("a <> 'old'").count() == ROWS
    finally:
        spark.sql("DROP TABLE IF EXISTS merged")


@pytest.mark.usefixtures("gateway")
def test_two_actions_on_a_micro_batch_pay_once(spark: SparkSession, requests: Count, tmp_path: Path) -> None:
    source = str(tmp_path / "source")
    spark.table("my_table").write.format("delta").save(source)

    def two_actions(batch: DataFrame, number: int) -> None:
        for name in ("one", "two"):
            batch.write.format("delta").mode("append").save(str(tmp_path / name))

    def stream() -> None:
        rows = spark.readStream.format("delta").load(source).selectExpr("id", f"{CALL} AS a")
        writer = rows.writeStream.foreachBatch(two_actions).option("checkpointLocation", str(tmp_path / "checkpoint"))
        writer.trigger(availableNow=True).start().awaitTermination()

    assert requests(stream) == ROWS
    for name in ("one", "two"):
        assert spark.read.format("delta").load(str(tmp_path / name)).count() == ROWS


@pytest.mark.usefixtures("gateway")
def test_two_tasks_with_the_same_rows_in_opposite_order_pay_once(spark: SparkSession, requests: Count) -> None:
    order = "CASE WHEN id < 200 THEN id ELSE 399 - id END"  # two partitions: 0 to 199, and 199 to 0
    frame = spark.range(0, 400, 1, 2).selectExpr(f"ai_query('{MODEL}', 'Lake ' || ({order})) AS a")
    answers: list[str] = []
    assert requests(lambda: answers.extend(row.a for row in frame.collect())) == 200
    assert answers[:200] == answers[:199:-1]


def test_a_run_shares_with_the_next_query_and_says_what_it_saved(
    spark: SparkSession, register: Register, requests: Count, server: RunningGateway, run: str
) -> None:
    gateway = register(cache=run)
    query = f"SELECT {CALL} AS a FROM my_table"
    assert requests(lambda: [spark.sql(query).collect() for _ in range(2)]) == ROWS
    assert [tuple(counts) for counts in of_queries(gateway)[-2:]] == [(ROWS, 0), (0, ROWS)]
    gateway.close()
    register(cache=run)
    assert requests(lambda: spark.sql(query).collect()) == 0


def test_a_run_tries_again_what_failed_in_another_query(
    spark: SparkSession, register: Register, requests: Count, server: RunningGateway, run: str
) -> None:
    register(cache=run)
    query = (
        f"SELECT ai_query('{MODEL}', 'Lake ' || id % 2, failOnError => false).errorMessage AS e FROM range(0, 8, 1, 2)"
    )
    server.configure(faults=[{"match": "Lake 1", "status": 403, "message": "not yours"}])
    assert requests(lambda: spark.sql(query).collect()) == 2
    server.configure(faults=[])
    assert requests(lambda: spark.sql(query).collect()) == 1
    assert spark.sql(query).where("e IS NULL").count() == 8


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a run whose answers go with the test."""
    name = f"test-{os.getpid()}-{abs(hash(request.node.name)):x}"
    yield f"run:{name}"
    shutil.rmtree(shared_dir(f"runs/{name}"), ignore_errors=True)


def test_with_redis_answers_are_shared_there(
    spark: SparkSession, register: Register, requests: Count, tmp_path: Path
) -> None:
    with redis_running(tmp_path, "dapi-redis-password") as redis:
        gateway = register(coordination=redis.url, coordination_name="spark-tests")
        query = f"SELECT {CALL} AS a FROM my_table ORDER BY a"
        assert requests(lambda: spark.sql(query).collect()) == ROWS
        assert tuple(of_queries(gateway)[-1]) == (ROWS, ROWS)
        assert not list(kept_queries(spark.sparkContext.applicationId))
        redis.kill()
        redis.start()  # it has forgotten all
        assert requests(lambda: spark.sql(query).collect()) == ROWS


def test_without_the_cache_each_evaluation_is_paid(spark: SparkSession, register: Register, requests: Count) -> None:
    register(cache="off")
    assert requests(lambda: spark.sql(f"SELECT {CALL} AS a FROM my_table ORDER BY a").collect()) == 2 * ROWS


def test_another_query_pays_again(spark: SparkSession, gateway: gb.Gateway, requests: Count) -> None:
    query = f"SELECT {CALL} AS a FROM my_table"
    assert requests(lambda: [spark.sql(query).collect() for _ in range(2)]) == 2 * ROWS


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
    from gateway_batch.spark.calls.scope import query_folder

    spark.sql(f"SELECT {CALL} FROM my_table").collect()
    application = spark.sparkContext.applicationId
    folders = [query_folder(application, query) for query in kept_queries(application)]
    assert folders
    for folder in folders:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_lost_store_costs_no_answer(spark: SparkSession, gateway: gb.Gateway, texts: DataFrame) -> None:
    frame = texts.selectExpr(f"{CALL} AS a")
    shutil.rmtree(Path(shared_dir(spark.sparkContext.applicationId)) / "answers", ignore_errors=True)
    assert len(frame.collect()) == ROWS
