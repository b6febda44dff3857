"""The task functions: what each returns, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway
from tests.conformance.together import Answered, answered_together

pytestmark = pytest.mark.usefixtures("registered", "server")

ROWS = 6
TEXT = "concat('Lake ', id, ' is a deep and quiet lake. Write to ana@example.com about it.')"

FOR_TEXT = (
    "ai_gen(body)",
    "ai_fix_grammar(content => body)",
    "ai_mask(body, array('email', 'person'))",
    "ai_summarize(body)",
    "ai_summarize(body, 20)",
    "ai_summarize(body, max_words => 0)",
    "ai_translate(body, 'de')",
)
SENTIMENT = "ai_analyze_sentiment(body)"
ARRAY_OF_LABELS = "ai_classify(body, array('lake', 'river'))"
DESCRIBED_LABELS = """ai_classify(body, '{"lake": "standing water", "river": "running water"}')"""
SEVERAL_LABELS = """ai_classify(body, '["lake", "river"]', map('multilabel', 'true', 'instructions', 'Be strict.'))"""
BY_NAME = """ai_extract(body, '["name", "email"]')"""
BY_TYPE = """ai_extract(body, '{"depth": {"type": "integer"}, "kind": {"type": "enum", "labels": ["deep", "flat"]}}')"""
WITH_SOURCES = """ai_extract(body, '["name"]', map('enableCitations', 'true', 'enableConfidenceScores', 'true'))"""
SIMILARITY = "ai_similarity(body, 'a river')"
CALLS = {
    **dict.fromkeys((*FOR_TEXT, SENTIMENT, ARRAY_OF_LABELS), "string"),
    **dict.fromkeys((DESCRIBED_LABELS, SEVERAL_LABELS, BY_NAME, BY_TYPE, WITH_SOURCES), "variant"),
    SIMILARITY: "float",
}
"""With their types."""


@pytest.fixture(scope="module")
def found(spark: SparkSession, registered: gb.Gateway) -> dict[str, Answered]:
    """What each call gives for a few texts and NULL."""
    texts = spark.range(0, ROWS, 1, 1).selectExpr(f"IF(id = {ROWS - 1}, NULL, {TEXT}) AS body")
    return answered_together({call: texts.selectExpr("body", f"{call} AS answer") for call in CALLS})


def answers(found: dict[str, Answered], call: str) -> list[Any]:
    """Of the texts, once it is sure that each has one, of the call's type, and that NULL has NULL."""
    frame, rows = found[call]
    assert frame.schema["answer"].dataType.simpleString() == CALLS[call]
    assert len(rows) == ROWS
    assert [row.answer for row in rows if row.body is None] == [None]
    values = [row.answer for row in rows if row.body is not None]
    assert all(value is not None for value in values)
    return [json.loads(value.toJson()) for value in values] if CALLS[call] == "variant" else values


@pytest.mark.parametrize("call", FOR_TEXT)
def test_a_text_for_each_text(found: dict[str, Answered], call: str) -> None:
    assert all(isinstance(answer, str) and answer for answer in answers(found, call))


def test_a_sentiment_is_one_of_four(found: dict[str, Answered]) -> None:
    assert set(answers(found, SENTIMENT)) <= {"positive", "negative", "neutral", "mixed"}


def test_labels_in_an_array_give_a_label(found: dict[str, Answered]) -> None:
    assert set(answers(found, ARRAY_OF_LABELS)) <= {"lake", "river"}


def test_labels_in_json_give_a_variant_with_one_label(found: dict[str, Answered]) -> None:
    for answer in answers(found, DESCRIBED_LABELS):
        assert answer["error_message"] is None
        assert len(answer["response"]) == 1
        assert set(answer["response"]) <= {"lake", "river"}


def test_several_labels_can_be_asked_for(found: dict[str, Answered]) -> None:
    for answer in answers(found, SEVERAL_LABELS):
        assert isinstance(answer["response"], list)
        assert set(answer["response"]) <= {"lake", "river"}


def test_fields_are_extracted_by_name_or_type(found: dict[str, Answered]) -> None:
    for answer in answers(found, BY_NAME):
        assert set(answer) == {"response", "error_message"}
        assert set(answer["response"]) == {"name", "email"}
    for answer in answers(found, BY_TYPE):
        assert answer["response"]["depth"] is None or isinstance(answer["response"]["depth"], int)
        assert answer["response"]["kind"] in ("deep", "flat", None)


def test_extracted_fields_can_say_where_they_come_from_and_how_sure_they_are(found: dict[str, Answered]) -> None:
    for answer in answers(found, WITH_SOURCES):
        assert set(answer["response"]["name"]) == {"value", "citation_ids", "confidence_score"}


def test_similar_texts_are_near_each_other(spark: SparkSession, found: dict[str, Answered]) -> None:
    assert all(0 <= answer <= 1 for answer in answers(found, SIMILARITY))
    others = "('a deep lake'), ('the deep lake'), ('quarterly tax report'), (NULL)"
    query = f"SELECT ai_similarity('a deep lake', other) AS answer FROM VALUES {others} AS v(other)"
    same, near, far, none = (row.answer for row in spark.sql(query).collect())
    assert same == pytest.approx(1, abs=1e-3)
    assert same > near > far
    assert none is None


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
        ("ai_translate('x')", "[REQUIRED_PARAMETER_NOT_FOUND]", "to_lang"),
        ("ai_mask('x', array())", "[INVALID_PARAMETER_VALUE]", "non-empty array of strings"),
        ("ai_classify('x', '[\"a\", \"b\"]', map('colour', 'red'))", "[INVALID_PARAMETER_VALUE]", "no option 'colour'"),
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
