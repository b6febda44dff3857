"""What a call returns, for each way of calling it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.echo import WRITTEN
from tests.conformance.together import answered_together
from tests.spark.conftest import MODEL, Register

EMBEDDINGS = "databricks-gte-large-en"
ROWS = 200

pytestmark = pytest.mark.usefixtures("compiled", "registered", "server")


def one(spark: SparkSession, call: str) -> Any:
    row = spark.sql(f"SELECT {call} AS answer").first()
    assert row is not None
    return row.answer


def test_all_ways_of_calling_mean_the_same(spark: SparkSession) -> None:
    calls = [
        f"ai_query('{MODEL}', 'A cat sat on a mat.')",
        f"ai_query(endpoint => '{MODEL}', request => 'A cat sat on a mat.')",
        f"ai_query(request => 'A cat sat on a mat.', ENDPOINT => '{MODEL}')",
        f"ai_query('{MODEL}', 'A cat sat on a mat.', 'STRING', true)",
        f"ai_query('{MODEL}', request => 'A cat sat on a mat.', returnType => 'STRING')",
        f"ai_query(endpointName => '{MODEL}', request => 'A cat sat on a mat.')",
        f"ai_query('{MODEL.upper().lower()}', concat('A cat ', 'sat on a mat.'))",
        "ai_query('system.ai.gpt-5-4', 'A cat sat on a mat.')",
    ]
    rows = spark.sql(" UNION ALL ".join(f"SELECT {call} AS answer" for call in calls)).collect()
    assert len(rows) == len(calls)
    (answer,) = {row.answer for row in rows}
    assert "cat" in answer


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
    frame = spark.range(0, ROWS, 1, 2).selectExpr("id", f"ai_query('{MODEL}', {request}, failOnError => false) AS a")
    rows = frame.collect()
    assert [row.id for row in rows] == list(range(ROWS))
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


def test_each_way_to_fail_has_its_class(spark: SparkSession, register: Register, server: RunningGateway) -> None:
    register(max_attempts=2)
    faults: list[dict[str, Any]] = [{"status": 500}, {"disconnect": True}, {"truncate": True}, {"policy": True}]
    server.configure(
        faults=[
            *({"match": f"^fault {number}$", **fault} for number, fault in enumerate(faults)),
            {"match": "^not JSON$", "not_json": True},
        ]
    )
    prompts = "'fault 0', 'fault 1', 'fault 2', 'fault 3', 'not JSON'"
    call = f"ai_query('{MODEL}', prompt, failOnError => false) AS answer"
    rows = spark.sql(f"SELECT prompt, {call} FROM (SELECT explode(array({prompts})) AS prompt)").collect()
    assert len(rows) == 5
    for row in rows:
        error_class = "JSON_PARSE_ERROR" if row.prompt == "not JSON" else "HTTP_REQUEST_ERROR"
        assert row.answer.errorMessage.startswith(f"[AI_FUNCTION_{error_class}]")


class Cast(NamedTuple):
    """An answer, a return type, and the value that is read from the one as the other."""

    answer: str
    return_type: str
    value: Any


CASTS = [
    Cast("true", "BOOLEAN", True),
    Cast("-128", "TINYINT", -128),
    Cast("-32768", "SMALLINT", -32768),
    Cast("42", "INT", 42),
    Cast("9223372036854775807", "BIGINT", 2**63 - 1),
    Cast("0.25", "FLOAT", 0.25),
    Cast("0.1", "DOUBLE", 0.1),
    Cast("1.25", "DECIMAL(10,2)", Decimal("1.25")),
    Cast("plain", "STRING", "plain"),
    Cast("2026-08-07", "DATE", date(2026, 8, 7)),
    Cast("2026-08-07T10:00:00.5Z", "TIMESTAMP", datetime(2026, 8, 7, 10, 0, 0, 500000, UTC)),
    Cast("2026-08-07T10:00:00.5", "TIMESTAMP_NTZ", datetime(2026, 8, 7, 10, 0, 0, 500000)),  # noqa: DTZ001
    Cast('["a","b"]', "ARRAY<STRING>", ["a", "b"]),
    Cast('{"a":1}', "MAP<STRING, INT>", {"a": 1}),
    Cast('{"name":"x","score":1}', "STRUCT<name: STRING, score: DOUBLE>", Row(name="x", score=1.0)),
    Cast('{"name":"x","other":1}', "name STRING, tags ARRAY<STRING>", Row(name="x", tags=None)),
]


def test_a_struct_is_sent_as_sql_has_it(spark: SparkSession, answering: str) -> None:
    """Numbers of any length, no NaN, times to the microsecond; rows that differ in a last digit are two requests."""
    WRITTEN.clear()
    record = (
        "named_struct('key', CAST(text AS DECIMAL(23, 0)), 'price', 1.2500BD, 'whole', 9007199254740993, "
        "'x', double('NaN'), 'far', float('-Infinity'), 'word', 'NaN', 'at', TIMESTAMP'2026-11-29 13:45:00.123456Z', "
        "'local', TIMESTAMP_NTZ'2026-11-29 13:45:00.123456', 'list', array(1.5D, double('NaN')))"
    )
    keys = "VALUES ('12345678901234567890123'), ('12345678901234567890124') AS v(text)"
    spark.sql(f"SELECT ai_query('echo', {record}) FROM {keys}").collect()
    rest = (
        '"price":1.2500,"whole":9007199254740993,"x":null,"far":null,"word":"NaN",'
        '"at":"2026-11-29T13:45:00.123456Z","local":"2026-11-29T13:45:00.123456","list":[1.5,null]'
    )
    assert sorted(WRITTEN) == [
        f'{{"dataframe_records":[{{"key":1234567890123456789012{last},{rest}}}]}}' for last in (3, 4)
    ]


def test_an_answer_is_read_as_the_return_type(spark: SparkSession, answering: str) -> None:
    """One of each type, through Arrow and Spark; `tests/unit/test_casting.py` has what each type takes."""
    calls = {
        cast.return_type: f"ai_query('{answering}', '{cast.answer}', returnType => '{cast.return_type}')"
        for cast in CASTS
    }
    calls["schema_of_json"] = f"""ai_query('{answering}', '{{"a":1}}', returnType => schema_of_json('{{"a":0}}'))"""
    found = answered_together({name: spark.sql(f"SELECT {call} AS answer") for name, call in calls.items()})
    values = {name: answered.rows[0].answer for name, answered in found.items()}
    assert values.pop("schema_of_json") == Row(a=1)
    instant = values["TIMESTAMP"].astimezone(UTC)
    assert {**values, "TIMESTAMP": instant} == {cast.return_type: cast.value for cast in CASTS}


@pytest.fixture
def answering(echo_server: str, register: Register) -> str:
    """An endpoint that answers with its prompt."""
    register(endpoints={"echo": {"base_url": echo_server, "model": "main.default.mine"}})
    return "echo"


def test_model_parameters_reach_the_service_with_their_types(
    spark: SparkSession, answering: str, echoed: list[dict[str, Any]]
) -> None:
    parameters = "named_struct('temperature', 0.5, 'max_tokens', 7, 'stop', array('a', 'b'), 'reasoning', 'low')"
    one(spark, f"ai_query('{answering}', 'hello', modelParameters => {parameters})")
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
    assert unmatched(gateway, server, spark) == {}


def unmatched(gateway: gb.Gateway, server: RunningGateway, spark: SparkSession) -> dict[str, int]:
    """Requests per class, of this test's table only: the server's ledger has those of other tests too."""
    rows = gateway.usage.reconcile(server.ledger).where("class <> 'missing'").groupBy("class").count().collect()
    return {row["class"]: row["count"] for row in rows}
