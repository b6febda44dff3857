"""The task functions: what each returns, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import Count

pytestmark = pytest.mark.usefixtures("registered", "server")

ROWS = 200
TEXT = "concat('Lake ', id, ' is a deep and quiet lake. Write to ana@example.com about it.')"


def answers(spark: SparkSession, call: str, expected_type: str) -> list[Any]:
    """What a call gives for 200 texts, and NULL for NULL."""
    texts = spark.range(ROWS).selectExpr(f"IF(id % 20 = 19, NULL, {TEXT}) AS body")
    frame = texts.selectExpr("body", f"{call} AS answer")
    assert frame.schema["answer"].dataType.simpleString() == expected_type
    rows = frame.collect()
    assert len(rows) == ROWS
    assert all(row.answer is None for row in rows if row.body is None)
    found = [row.answer for row in rows if row.body is not None]
    assert all(answer is not None for answer in found)
    return [json.loads(answer.toJson()) for answer in found] if expected_type == "variant" else found


@pytest.mark.parametrize(
    "call",
    [
        "ai_gen(body)",
        "ai_fix_grammar(content => body)",
        "ai_mask(body, array('email', 'person'))",
        "ai_summarize(body)",
        "ai_summarize(body, 20)",
        "ai_summarize(body, max_words => 0)",
        "ai_translate(body, 'de')",
    ],
)
def test_a_text_for_each_text(spark: SparkSession, call: str) -> None:
    assert all(isinstance(answer, str) and answer for answer in answers(spark, call, "string"))


def test_a_sentiment_is_one_of_four(spark: SparkSession) -> None:
    found = answers(spark, "ai_analyze_sentiment(body)", "string")
    assert set(found) <= {"positive", "negative", "neutral", "mixed"}


def test_labels_in_an_array_give_a_label(spark: SparkSession) -> None:
    assert set(answers(spark, "ai_classify(body, array('lake', 'river'))", "string")) <= {"lake", "river"}


def test_labels_in_json_give_a_variant_with_one_label(spark: SparkSession) -> None:
    call = """ai_classify(body, '{"lake": "standing water", "river": "running water"}')"""
    for answer in answers(spark, call, "variant"):
        assert answer["error_message"] is None
        assert len(answer["response"]) == 1
        assert set(answer["response"]) <= {"lake", "river"}


def test_several_labels_can_be_asked_for(spark: SparkSession) -> None:
    call = """ai_classify(body, '["lake", "river"]', map('multilabel', 'true', 'instructions', 'Be strict.'))"""
    for answer in answers(spark, call, "variant"):
        assert isinstance(answer["response"], list)
        assert set(answer["response"]) <= {"lake", "river"}


def test_fields_are_extracted_by_name_or_type(spark: SparkSession) -> None:
    for answer in answers(spark, """ai_extract(body, '["name", "email"]')""", "variant"):
        assert set(answer) == {"response", "error_message"}
        assert set(answer["response"]) == {"name", "email"}
    typed = '{"depth": {"type": "integer"}, "kind": {"type": "enum", "labels": ["deep", "flat"]}}'
    for answer in answers(spark, f"ai_extract(body, '{typed}')", "variant"):
        assert answer["response"]["depth"] is None or isinstance(answer["response"]["depth"], int)
        assert answer["response"]["kind"] in ("deep", "flat", None)


def test_extracted_fields_can_say_where_they_come_from_and_how_sure_they_are(spark: SparkSession) -> None:
    options = "map('enableCitations', 'true', 'enableConfidenceScores', 'true')"
    for answer in answers(spark, f"""ai_extract(body, '["name"]', {options})""", "variant"):
        assert set(answer["response"]["name"]) == {"value", "citation_ids", "confidence_score"}


def test_similar_texts_are_near_each_other(spark: SparkSession, requests: Count) -> None:
    assert all(0 <= answer <= 1 for answer in answers(spark, "ai_similarity(body, 'a river')", "float"))
    query = """SELECT ai_similarity('a deep lake', 'a deep lake') AS same, ai_similarity('a deep lake', 'the deep lake')
        AS near, ai_similarity('a deep lake', 'quarterly tax report') AS far, ai_similarity('a', NULL) AS none"""
    row = spark.sql(query).first()
    assert row is not None
    assert row.same == pytest.approx(1, abs=1e-3)
    assert row.same > row.near > row.far
    assert row.none is None


def test_a_failed_row_of_a_variant_has_its_error_in_it(spark: SparkSession, server: RunningGateway) -> None:
    server.configure(faults=[{"match": "broken", "status": 400, "message": "no such lake"}])
    query = """SELECT ai_classify(t, '["a", "b"]') AS answer FROM VALUES ('broken'), ('whole') AS v(t)"""
    failed, whole = (json.loads(row.answer.toJson()) for row in spark.sql(query).collect())
    assert failed["response"] is None
    assert failed["error_message"].startswith("[AI_FUNCTION_HTTP_REQUEST_ERROR]")
    assert "function ai_classify" in failed["error_message"]
    assert whole["error_message"] is None


@pytest.mark.parametrize(
    ("call", "starts", "says"),
    [
        ("ai_summarize('x', -1)", "[AI_FUNCTION_INVALID_MAX_WORDS]", "but got -1"),
        (
            "ai_summarize('x', 'ten')",
            "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
            "max_words of ai_summarize must be INT",
        ),
        ("ai_translate('x', 'tlh')", "[INVALID_PARAMETER_VALUE]", "de, en, es, fr, hi, it, pt, th"),
        ("ai_translate('x')", "[REQUIRED_PARAMETER_NOT_FOUND]", "to_lang"),
        ("ai_classify('x', array('one'))", "[INVALID_PARAMETER_VALUE]", "2 to 20 different labels, but got 1"),
        ("ai_classify('x', '[broken')", "[INVALID_PARAMETER_VALUE]", "expects JSON"),
        ("ai_classify('x', '[\"a\", \"\"]')", "[INVALID_PARAMETER_VALUE]", "1 to 100 characters"),
        ("ai_classify('x', '[\"a\", \"b\"]', map('colour', 'red'))", "[INVALID_PARAMETER_VALUE]", "no option 'colour'"),
        ("ai_classify('x', '[\"a\", \"b\"]', map('version', '3'))", "[INVALID_PARAMETER_VALUE]", "1.0 or 2.0"),
        ("ai_classify('x', array('a', 'b'), map('multilabel', 'true'))", "[INVALID_PARAMETER_VALUE]", "version 2.0"),
        ('ai_extract(\'x\', \'{"a": {"type": "money"}}\')', "[INVALID_PARAMETER_VALUE]", "'a' no type"),
        ("ai_extract('x', 'person')", "[INVALID_PARAMETER_VALUE]", "expects JSON"),
        ("ai_mask('x', array())", "[INVALID_PARAMETER_VALUE]", "non-empty array of strings"),
        ("ai_gen(array('x'))", "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]", "prompt of ai_gen must be STRING"),
        ("ai_gen('x', 'y')", "[WRONG_NUM_ARGS.WITHOUT_SUGGESTION]", "ai_gen takes 1"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_sent(
    spark: SparkSession, server: RunningGateway, call: str, starts: str, says: str
) -> None:
    with pytest.raises(IllegalArgumentException) as caught:
        spark.sql(f"SELECT {call}")
    message = str(caught.value)
    assert message.startswith(starts)
    assert says in message
    assert "\n" not in message
    assert server.stats()["requests"] == 0
