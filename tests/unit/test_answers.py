"""Structured answers are checked against their schema before they are cast."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import types as t

from gateway_batch.config import GatewayConfig
from gateway_batch.errors import AiFunctionError, CallError, ErrorKind
from gateway_batch.spark.calls.call_plan import CallPlan
from gateway_batch.spark.worker.answers import NULL, column_writer
from gateway_batch.types import ResponseFormat

from .test_call_plan import plan_of

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
    "required": ["label"],
    "additionalProperties": False,
}


def plan(result_type: t.DataType, **changes: Any) -> CallPlan:
    changes = {"response_format": ResponseFormat(SCHEMA), **changes}
    return replace(plan_of(GatewayConfig.from_env(host="https://h")), result_type=result_type.json(), **changes)


def written(answers: list[Any], result_type: t.DataType, **changes: Any) -> list[Any]:
    values: list[Any] = column_writer(plan(result_type, **changes))(answers).to_pylist()
    return values


def test_a_structured_answer_stays_the_text_it_was() -> None:
    assert written(['{ "label": "x" }', None], t.StringType()) == ['{ "label": "x" }', None]


def test_a_structured_answer_is_cast_to_the_return_type() -> None:
    result_type = t.StructType().add("label", t.StringType()).add("score", t.FloatType())
    assert written(['{"label": "x", "score": 1}'], result_type) == [{"label": "x", "score": 1.0}]


def test_a_member_of_the_answer_can_be_the_value() -> None:
    assert written(['{"label": "x"}'], t.StringType(), member="label") == ["x"]


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("secret prose", "not the JSON"),
        ('{"label": "secret", "score": "secret"}', "at properties/score/type"),
        ('{"score": 1}', "at required"),
        ('{"label": "x", "secret": 1}', "at additionalProperties"),
        ('["secret"]', "at type"),
        ("[" * 5000, "not the JSON"),
    ],
)
def test_an_answer_that_breaks_its_schema_is_an_error_without_the_answer(answer: str, place: str) -> None:
    with pytest.raises(AiFunctionError) as caught:
        written([answer], t.StringType())
    assert caught.value.error_class == "AI_FUNCTION_HTTP_PARSE_CAST_ERROR"
    assert place in caught.value.message
    assert "secret" not in str(caught.value)


def test_an_error_is_its_rows_own() -> None:
    down = CallError(ErrorKind.SERVER, "down")
    rows = written(['{"label": "x"}', "prose", down, None], t.StringType(), fail_on_error=False)
    assert rows[0] == {"result": '{"label": "x"}', "errorMessage": None}
    assert rows[1]["errorMessage"].startswith("[AI_FUNCTION_HTTP_PARSE_CAST_ERROR]")
    assert rows[2]["errorMessage"].startswith("[AI_FUNCTION_HTTP_REQUEST_ERROR]")
    assert rows[3] is None


def test_any_json_object_will_do_without_a_schema() -> None:
    any_object = ResponseFormat()
    assert written(['{"a": 1}'], t.StringType(), response_format=any_object) == ['{"a": 1}']
    with pytest.raises(AiFunctionError):
        written(["[1]"], t.StringType(), response_format=any_object)


def test_an_answer_that_is_null_differs_from_a_row_that_sent_nothing() -> None:
    plain: dict[str, Any] = {"response_format": None}
    assert written([NULL, None, "1"], t.IntegerType(), **plain) == [None, None, 1]
    found = written([NULL, None], t.IntegerType(), fail_on_error=False, **plain)
    assert found == [{"result": None, "errorMessage": None}, None]


def test_an_answer_is_held_against_its_schema_as_the_schemas_users_mean_it() -> None:
    price = ResponseFormat({"type": "object", "properties": {"price": {"multipleOf": 0.01}}})
    assert written(['{"price": 4.02}', '{"price": 19.99}'], t.StringType(), response_format=price) == [
        '{"price": 4.02}',
        '{"price": 19.99}',
    ]
    with pytest.raises(AiFunctionError, match="breaks the schema of responseFormat at properties/price/multipleOf"):
        written(['{"price": 4.021}'], t.StringType(), response_format=price)
