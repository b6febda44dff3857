"""What a call returns, for each way of calling it."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, Count, Register

EMBEDDINGS = "databricks-gte-large-en"

pytestmark = pytest.mark.usefixtures("registered", "server")


def one(spark: SparkSession, call: str) -> Any:
    row = spark.sql(f"SELECT {call} AS answer").first()
    assert row is not None
    return row.answer


@pytest.mark.parametrize(
    "call",
    [
        f"ai_query('{MODEL}', 'A cat sat on a mat.')",
        f"ai_query(endpoint => '{MODEL}', request => 'A cat sat on a mat.')",
        f"ai_query(request => 'A cat sat on a mat.', ENDPOINT => '{MODEL}')",
        f"ai_query('{MODEL}', 'A cat sat on a mat.', 'STRING', true)",
        f"ai_query('{MODEL}', request => 'A cat sat on a mat.', returnType => 'STRING')",
        f"ai_query(endpointName => '{MODEL}', request => 'A cat sat on a mat.')",
        f"ai_query('{MODEL.upper().lower()}', concat('A cat ', 'sat on a mat.'))",
    ],
)
def test_positional_and_named_arguments_mean_the_same(spark: SparkSession, call: str) -> None:
    assert "cat" in one(spark, call)


def test_names_a_system_service_in_full(spark: SparkSession) -> None:
    assert one(spark, "ai_query('system.ai.gpt-5-4', 'Hello there.')")


def test_an_embedding_is_an_array_of_floats(spark: SparkSession) -> None:
    frame = spark.sql(f"SELECT ai_query('{EMBEDDINGS}', 'a lake') AS v")
    assert frame.schema["v"].dataType.simpleString() == "array<float>"
    vector = frame.collect()[0].v
    assert len(vector) == 1024
    assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-3)


def test_failed_rows_carry_their_error_and_disturb_no_neighbour(
    spark: SparkSession, server: RunningGateway, texts: DataFrame
) -> None:
    server.configure(faults=[{"match": "Lake 1[37] ", "status": 400, "message": "no such lake"}])
    frame = texts.selectExpr("id", f"ai_query('{MODEL}', 'Summarize: ' || text_column, failOnError => false) AS answer")
    assert frame.schema["answer"].dataType.simpleString() == "struct<result:string,errorMessage:string>"
    rows = {row.id: row.answer for row in frame.collect()}
    assert len(rows) == 40
    for id_, answer in rows.items():
        if id_ in (13, 17):
            assert answer.result is None
            assert answer.errorMessage.startswith("[AI_FUNCTION_HTTP_REQUEST_ERROR] ")
            assert "no such lake" in answer.errorMessage
            assert answer.errorMessage.endswith("SQLSTATE: 08000")
        else:
            assert re.search(rf"\bLake {id_}\b", answer.result)
            assert answer.errorMessage is None


def test_rows_keep_their_order_whatever_their_requests_do(spark: SparkSession, server: RunningGateway) -> None:
    server.configure(
        faults=[
            {"match": "Lake [0-9]*3 ", "latency_ms": 300},
            {"match": "Lake [0-9]*7 ", "status": 400},
            {"match": "Lake [0-9]*1 ", "status": 500, "times_per_prompt": 1},
            {"match": "Lake [0-9]*9 ", "disconnect": True, "times_per_prompt": 1},
        ]
    )
    request = "CASE WHEN id % 10 <> 5 THEN concat('Summarize: Lake ', id, ' is deep.') END"
    frame = spark.range(0, 1500, 1, 2).selectExpr("id", f"ai_query('{MODEL}', {request}, failOnError => false) AS a")
    rows = frame.collect()
    assert [row.id for row in rows] == list(range(1500))
    for row in rows:
        match row.id % 10:
            case 5:
                assert row.a is None
            case 7:
                assert row.a.result is None
                assert row.a.errorMessage
            case _:
                assert re.search(rf"\bLake {row.id}\b", row.a.result)


def test_a_failing_row_fails_the_query_with_its_class(spark: SparkSession, server: RunningGateway) -> None:
    server.configure(faults=[{"status": 400, "message": "no such lake"}])
    with pytest.raises(Exception, match=r"\[AI_FUNCTION_HTTP_REQUEST_ERROR\].*no such lake SQLSTATE: 08000"):
        spark.sql(f"SELECT ai_query('{MODEL}', 'x')").collect()


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        ({"status": 500}, "AI_FUNCTION_HTTP_REQUEST_ERROR"),
        ({"disconnect": True}, "AI_FUNCTION_HTTP_REQUEST_ERROR"),
        ({"truncate": True}, "AI_FUNCTION_HTTP_REQUEST_ERROR"),
        ({"policy": True}, "AI_FUNCTION_HTTP_REQUEST_ERROR"),
        ({"not_json": True}, "AI_FUNCTION_JSON_PARSE_ERROR"),
    ],
)
def test_each_way_to_fail_has_its_class(
    spark: SparkSession, server: RunningGateway, fault: dict[str, Any], error_class: str
) -> None:
    server.configure(faults=[fault])
    answer = one(spark, f"ai_query('{MODEL}', 'x', failOnError => false)")
    assert answer.errorMessage.startswith(f"[{error_class}]")


def test_null_requests_send_nothing_and_are_null(spark: SparkSession, requests: Count) -> None:
    answers: list[Any] = []
    calls = (f"ai_query('{MODEL}', NULL)", f"ai_query('{MODEL}', CAST(NULL AS STRING), failOnError => false)")
    assert requests(lambda: answers.extend(one(spark, call) for call in calls)) == 0
    assert answers == [None, None]


def test_an_empty_request_is_sent(spark: SparkSession, requests: Count) -> None:
    assert requests(lambda: one(spark, f"ai_query('{MODEL}', '')")) == 1


@pytest.mark.parametrize(
    ("return_type", "answer", "expected"),
    [
        ("INT", "42", 42),
        ("DOUBLE", "0.25", 0.25),
        ("DECIMAL(10,2)", "1.25", Decimal("1.25")),
        ("BOOLEAN", "true", True),
        ("DATE", "2026-08-07", date(2026, 8, 7)),
        ("ARRAY<STRING>", '["a","b"]', ["a", "b"]),
        ("MAP<STRING, INT>", '{"a":1}', {"a": 1}),
        ("STRUCT<name: STRING, score: DOUBLE>", '{"name":"x","score":1}', Row(name="x", score=1.0)),
        ("name STRING, tags ARRAY<STRING>", '{"name":"x","other":1}', Row(name="x", tags=None)),
    ],
)
def test_an_answer_is_read_as_the_return_type(
    spark: SparkSession, answering: str, return_type: str, answer: str, expected: Any
) -> None:
    prompt = answer.replace("'", "\\'")
    assert one(spark, f"ai_query('{answering}', '{prompt}', returnType => '{return_type}')") == expected


def test_schema_of_json_is_a_return_type(spark: SparkSession, answering: str) -> None:
    found = one(spark, f"""ai_query('{answering}', '{{"a":1}}', returnType => schema_of_json('{{"a":0}}'))""")
    assert found == Row(a=1)


def test_an_answer_of_another_type_is_an_error_without_the_answer(spark: SparkSession, answering: str) -> None:
    found = one(spark, f"ai_query('{answering}', 'forty-two', returnType => 'INT', failOnError => false)")
    assert found.errorMessage.startswith("[AI_FUNCTION_HTTP_PARSE_CAST_ERROR] ")
    assert found.errorMessage.endswith("SQLSTATE: 2203G")
    assert "forty" not in found.errorMessage


@pytest.fixture
def answering(echo_server: str, register: Register) -> str:
    """An endpoint that answers with its prompt."""
    register(endpoints={"echo": {"base_url": echo_server}})
    return "echo"


def test_model_parameters_reach_the_service_with_their_types(
    spark: SparkSession, register: Register, echo_server: str, echoed: list[dict[str, Any]]
) -> None:
    register(endpoints={"echo": {"base_url": echo_server, "model": "main.default.mine"}})
    parameters = "named_struct('temperature', 0.5, 'max_tokens', 7, 'stop', array('a', 'b'), 'reasoning', 'low')"
    one(spark, f"ai_query('echo', 'hello', modelParameters => {parameters})")
    (body,) = echoed
    assert body == {
        "model": "main.default.mine",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "reasoning": "low",
    }


@pytest.mark.usefixtures("texts")
def test_tags_of_the_row_reach_gateway_and_ledger(
    spark: SparkSession, register: Register, server: RunningGateway
) -> None:
    gateway = register(request_tags={"team": "search", "step": "none"})
    call = f"ai_query('{MODEL}', text_column, requestTags => map('step', 'größe ' || id))"
    spark.sql(f"SELECT {call} FROM my_table WHERE id < 3").collect()
    assert gateway.usage.flush() == 3
    tags = {row.request_tags["step"]: row.request_tags["team"] for row in spark.table(gateway.usage.table).collect()}
    assert tags == {f"größe {n}": "search" for n in range(3)}
    assert books(gateway, server, spark) == {}


def books(gateway: gb.Gateway, server: RunningGateway, spark: SparkSession) -> dict[str, int]:
    """Requests per class, of this test's table only: the server's ledger has those of other tests too."""
    rows = gateway.usage.reconcile(server.ledger).where("class <> 'missing'").groupBy("class").count().collect()
    return {row["class"]: row["count"] for row in rows}
