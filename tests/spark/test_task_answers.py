"""The task functions where the model's answer is the test's own: labels of rows, what fits no label, `failOnError`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.errors import PythonException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

import gateway_batch as gb
from tests.conformance.session import endpoints
from tests.spark.conftest import Register

A, B, OTHER, NONE = '{"label": "a"}', '{"label": "b"}', '{"label": "zebra"}', '{"label": null}'
JSON_LABELS = '\'["a", "b"]\''
STRUCT = "struct<result:string,errorMessage:string>"


@pytest.fixture(autouse=True)
def _echoing(register: Register, echo_server: str) -> None:
    """The task functions' model answers with the content."""
    register("task_answers", task_endpoint="echo", endpoints=endpoints(echo_server))


def plain(value: Any) -> Any:
    """A cell as JSON has it."""
    if isinstance(value, Row):
        return value.asDict()
    return json.loads(value.toJson()) if type(value).__name__ == "VariantVal" else value


def test_an_answer_that_fits_no_label_is_null_where_there_is_no_room_for_an_error(spark: SparkSession) -> None:
    rows = spark.sql(
        f"""SELECT ai_classify(t, array('a', 'b')) AS label,
                   ai_classify(t, array('a', 'b'), failOnError => false) AS outcome,
                   ai_analyze_sentiment(t) AS sentiment,
                   ai_classify(t, {JSON_LABELS}) AS envelope
            FROM VALUES (0, '{A}'), (1, '{OTHER}'), (2, 'a lake'), (3, NULL), (4, '{NONE}'),
                        (5, '{{"sentiment": null}}') AS v(place, t) ORDER BY place"""
    ).collect()
    assert [row.label for row in rows] == ["a", None, None, None, None, None]
    found = [plain(row.outcome) for row in rows]
    assert found[:5] == [{"result": label, "errorMessage": None} for label in ("a", None, None)] + [None, found[1]]
    assert [row.sentiment for row in rows] == [None] * 6
    envelopes = [plain(row.envelope) for row in rows]
    assert envelopes[0] == {"response": ["a"], "error_message": None}
    assert envelopes[4] == {"response": None, "error_message": None}, "the model says that none fits"
    assert [envelope["response"] for envelope in envelopes[1:3]] == [None, None]
    assert all(
        envelope["error_message"].startswith("[AI_FUNCTION_HTTP_PARSE_CAST_ERROR]") for envelope in envelopes[1:3]
    )
    assert not any("zebra" in str(envelope) or "lake" in str(envelope) for envelope in envelopes[1:3])


def test_labels_may_differ_from_row_to_row(spark: SparkSession, echoed: list[dict[str, Any]]) -> None:
    query = f"""SELECT ai_classify(t, labels) AS label, ai_classify(t, to_json(labels)) AS envelope
                FROM VALUES (0, '{A}', array('a', 'b')), (1, '{A}', array('c', 'd')), (2, '{A}', array('a')),
                            (3, '{A}', CAST(NULL AS ARRAY<STRING>)), (4, '{A}', array('a', 'b'))
                AS v(place, t, labels) ORDER BY place"""
    with pytest.raises(PythonException, match="expects 2 to 20 different labels, but got 1"):
        spark.sql(query).collect()
    echoed.clear()
    rows = spark.sql(query.replace("ai_classify(t, labels)", "ai_classify(t, labels, failOnError => false)")).collect()
    outcomes, envelopes = [plain(row.label) for row in rows], [plain(row.envelope) for row in rows]
    assert [outcome and outcome["result"] for outcome in outcomes] == ["a", None, None, None, "a"]
    assert outcomes[1]["errorMessage"] is None
    assert "expects 2 to 20 different labels, but got 1" in outcomes[2]["errorMessage"]
    assert outcomes[3] is envelopes[3] is None
    assert [envelope and envelope["response"] for envelope in envelopes] == [["a"], None, None, None, ["a"]]
    assert "expects 2 to 500 different labels" in envelopes[2]["error_message"]
    schemas = [body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] for body in echoed]
    assert sorted(schemas) == [["a", "b", None], ["c", "d", None]]


def test_labels_of_rows_as_columns(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(B, ["a", "b"]), (B, ["x", "y"])], "t STRING, labels ARRAY<STRING>")
    label = gb.functions.ai_classify("t", F.col("labels"))
    envelope = gb.functions.ai_classify("t", F.to_json("labels"), {"version": "2.0"})
    found = rows.coalesce(1).select(label.alias("label"), envelope.alias("envelope")).collect()
    assert [row.label for row in found] == ["b", None]
    assert plain(found[0].envelope) == {"response": ["b"], "error_message": None}


def test_version_2_1_gives_objects_with_how_sure_the_model_is(
    spark: SparkSession, echoed: list[dict[str, Any]]
) -> None:
    """By the tokens of the label and of its end, each with 0.9 here; one by one where rows have labels of their own."""
    one = '{"label": {"value": "b", "confidence_score": 0.75, "rationale": "It says so."}}'
    two = '{"labels": [{"value": "a"}, {"value": "b"}]}'
    row = spark.sql(
        f"""SELECT ai_classify('{one}', '["a", "b"]', map('version', '2.1', 'enableConfidenceScores', 'true',
                               'enableRationales', 'true')) AS one,
                   ai_classify('{two}', '["a", "b"]', map('version', '2.1', 'multilabel', 'true')) AS two,
                   ai_classify('{one}', array('a', 'b'), map('version', '2.1')) AS unasked,
                   ai_classify('{{"label": {{"value": null}}}}', array('a', 'b'), map('version', '2.1')) AS fits_none,
                   ai_classify('{one}', to_json(array('b', 'c', t)), map('version', '2.1', 'enableConfidenceScores',
                               'true', 'enableRationales', 'true')) AS by_row,
                   ai_extract('{{"n": {{"value": 12, "confidence_score": 1}}}}', '{{"n": {{"type": "integer"}}}}',
                              map('version', '2.1', 'mode', 'precision', 'enableConfidenceScores', 'true')) AS fields
            FROM VALUES ('d') AS v(t)"""
    ).first()
    assert row is not None
    sure = {"value": "b", "confidence_score": pytest.approx(0.81), "rationale": "It says so."}
    metadata = {"version": "2.1", "confidence_score": "token log-probabilities"}
    assert plain(row.one) == plain(row.by_row) == {"response": [sure], "error_message": None, "metadata": metadata}
    assert plain(row.fields)["response"] == {"n": {"value": 12, "confidence_score": pytest.approx(0.81)}}
    assert plain(row.fields)["metadata"] == metadata | {"mode": "precision"}
    assert plain(row.two)["response"] == [{"value": "a"}, {"value": "b"}]
    assert plain(row.fits_none) == {"response": None, "error_message": None, "metadata": {"version": "2.1"}}
    assert plain(row.two)["metadata"] == {"version": "2.1"}
    assert plain(row.unasked)["response"] is None, "what was not asked for does not fit"
    assert any("how sure you are" in json.dumps(body) for body in echoed)
    assert sorted(body.get("logprobs", False) for body in echoed) == [False, False, False, True, True, True]


def test_a_variant_is_a_content(spark: SparkSession, echoed: list[dict[str, Any]]) -> None:
    (row,) = spark.sql(
        f"""SELECT ai_classify(parse_json('{A}'), array('a', 'b')) AS label,
                   ai_extract(parse_json('{{"name": "Ana"}}'), '["name"]') AS fields,
                   ai_gen(parse_json('"a text"')) AS text"""
    ).collect()
    assert row.label == "a"
    assert plain(row.fields) == {"response": {"name": "Ana"}, "error_message": None}
    assert row.text == "a text"


def test_extracted_numbers_are_exact(spark: SparkSession) -> None:
    answer = '{"account": 12345678901234567890123, "amount": 1234567890123456.78}'
    schema = '{"account": {"type": "integer"}, "amount": {"type": "number"}}'
    row = spark.sql(f"SELECT CAST(ai_extract('{answer}', '{schema}') AS STRING) AS found").first()
    assert row is not None
    assert json.loads(row.found, parse_float=str)["response"] == {
        "account": 12345678901234567890123,
        "amount": "1234567890123456.78",
    }


def test_fail_on_error_is_an_argument_of_all_task_functions(spark: SparkSession) -> None:
    calls = {
        "ai_fix_grammar('no JSON', failOnError => false)": STRUCT,
        "ai_mask('no JSON', array('email'), failOnError => false)": STRUCT,
        "ai_summarize('no JSON', failOnError => false)": STRUCT,
        "ai_translate('no JSON', 'de', failOnError => false)": STRUCT,
        "ai_extract('no JSON', '[\"name\"]', failOnError => false)": "variant",
    }
    frame = spark.sql("SELECT " + ", ".join(f"{call} AS c{place}" for place, call in enumerate(calls)))
    assert [field.dataType.simpleString() for field in frame.schema] == list(calls.values())
    (row,) = frame.collect()
    for cell in row:
        found = plain(cell)
        assert found[next(name for name in found if name.startswith("re"))] is None
        assert "[AI_FUNCTION_HTTP_PARSE_CAST_ERROR]" in str(found)
    gen = spark.sql("SELECT ai_gen('x', failOnError => false) AS g, ai_gen('x', failOnError => true) AS h").collect()[0]
    assert (plain(gen.g), gen.h) == ({"result": "x", "errorMessage": None}, "x")
    with pytest.raises(PythonException, match="AI_FUNCTION_HTTP_PARSE_CAST_ERROR"):
        spark.sql(f"SELECT ai_classify('{OTHER}', {JSON_LABELS}, failOnError => true)").collect()
