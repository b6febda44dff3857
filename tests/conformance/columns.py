"""What `gb.functions` gives, the same in a classic session and on Spark Connect, as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.spark.session.messages import first_line
from tests.conformance.check import part_of, plain
from tests.conformance.echo import BODIES
from tests.conformance.together import Answered, answered_together

MODEL = "databricks-gpt-5-4"
EMBEDDINGS = "databricks-gte-large-en"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
POINT = t.StructType([t.StructField("a b", t.IntegerType()), t.StructField("c", t.ArrayType(t.DoubleType()))])

Make = Callable[[Any], Column]


class ColumnCase(NamedTuple):
    """A Column over `frame`, its type, the value of its row, and a part of the body that is sent.

    A value None is not compared.
    """

    name: str
    make: Make
    type: str
    value: Any = None
    sent: Any = None


CASES = [
    ColumnCase("a column by its name", lambda f: f.ai_query("echo", "text"), "string", "hello"),
    ColumnCase("a number is text", lambda f: f.ai_query("echo", "number"), "string", "7"),
    ColumnCase("by keyword", lambda f: f.ai_query(request=F.col("text"), endpoint="echo"), "string", "hello"),
    ColumnCase("returnType as DDL", lambda f: f.ai_query("echo", "number", returnType="INT"), "int", 7),
    ColumnCase(
        "returnType as a type",
        lambda f: f.ai_query("echo", F.lit('{"a b": 1, "c": [0.5]}'), returnType=POINT),
        "struct<a b:int,c:array<double>>",
        {"a b": 1, "c": [0.5]},
    ),
    ColumnCase(
        "a time in the session's time zone",
        lambda f: f.ai_query("echo", F.lit("2020-01-01T00:00:00"), returnType="TIMESTAMP").cast("STRING"),
        "string",
        "2020-01-01 00:00:00",
    ),
    ColumnCase(
        "failOnError",
        lambda f: f.ai_query("echo", "text", "INT", False).errorMessage.startswith("[AI_FUNCTION_HTTP_PARSE_CAST"),
        "boolean",
        True,
    ),
    ColumnCase(
        "failOnError with an answer",
        lambda f: f.ai_query("echo", "number", "INT", failOnError=False),
        "struct<result:int,errorMessage:string>",
        {"result": 7, "errorMessage": None},
    ),
    ColumnCase(
        "model parameters",
        lambda f: f.ai_query("echo", "text", modelParameters={"max_tokens": 5, "temperature": 0.5, "stop": ["x"]}),
        "string",
        "hello",
        {"max_tokens": 5, "temperature": 0.5, "stop": ["x"]},
    ),
    ColumnCase("no model parameters", lambda f: f.ai_query("echo", "text", modelParameters={}), "string", "hello"),
    ColumnCase(
        "response format as DDL",
        lambda f: f.ai_query("echo", F.lit('{"a": 1}'), responseFormat="STRUCT<out: STRUCT<a: INT>>"),
        "string",
        '{"a": 1}',
        {"response_format": {"json_schema": {"name": "out", "schema": {"properties": {"a": {"type": "integer"}}}}}},
    ),
    ColumnCase(
        "an image",
        lambda f: f.ai_query(MODEL, F.lit("What is shown?"), files="image"),
        "string",
    ),
    ColumnCase("no image in the row", lambda f: f.ai_query(MODEL, "text", files=F.lit(None)), "string", None),
    ColumnCase("when", lambda f: f.ai_query("echo", "text", when=F.col("number") < 0), "string", None),
    ColumnCase("when, a constant", lambda f: f.ai_query("echo", "text", when=True), "string", "hello"),
    ColumnCase("NULL", lambda f: f.ai_query("echo", F.lit(None)), "string", None),
    ColumnCase("embeddings", lambda f: F.size(f.ai_query(EMBEDDINGS, "text")), "int"),
    ColumnCase("embeddings, typed", lambda f: f.ai_query(EMBEDDINGS, "text"), "array<float>"),
    ColumnCase("ai_gen", lambda f: f.ai_gen("text"), "string"),
    ColumnCase("ai_fix_grammar", lambda f: f.ai_fix_grammar("text"), "string"),
    ColumnCase("ai_mask", lambda f: f.ai_mask("text", ["email"]), "string"),
    ColumnCase("ai_summarize", lambda f: f.ai_summarize("text", max_words=0), "string"),
    ColumnCase("ai_translate", lambda f: f.ai_translate("text", "de"), "string"),
    ColumnCase("ai_analyze_sentiment", lambda f: f.ai_analyze_sentiment("text"), "string"),
    ColumnCase("ai_similarity", lambda f: f.ai_similarity("text", F.lit("hello")), "float", 1.0),
    ColumnCase("ai_classify by a list", lambda f: f.ai_classify("text", ["hello", "x"]), "string", "hello"),
    ColumnCase(
        "ai_classify by a row's labels",
        lambda f: f.ai_classify("text", F.array("text", F.lit("x"))),
        "string",
        "hello",
    ),
    ColumnCase(
        "ai_classify by a row's labels in JSON",
        lambda f: f.ai_classify("text", F.to_json(F.array("text", F.lit("x"))), {"version": "2.0"}),
        "variant",
        {"response": ["hello"], "error_message": None},
    ),
    ColumnCase(
        "a task function's failOnError",
        lambda f: f.ai_similarity("text", F.lit("hello"), failOnError=False),
        "struct<result:float,errorMessage:string>",
        {"result": 1.0, "errorMessage": None},
    ),
    ColumnCase(
        "ai_classify by a dict",
        lambda f: f.ai_classify("text", {"hello": "a greeting", "x": "no greeting"}, {"instructions": "Be strict."}),
        "variant",
        {"response": ["hello"], "error_message": None},
    ),
    ColumnCase(
        "ai_classify with several labels",
        lambda f: f.ai_classify("text", '["hello", "x"]', {"multilabel": True}).isNotNull(),
        "boolean",
        True,
    ),
    ColumnCase(
        "ai_decide", lambda f: f.ai_decide("text", {"q": {"type": "noul", "instructions": "Is it?"}}), "variant"
    ),
    ColumnCase("ai_extract by names", lambda f: f.ai_extract("text", ["name"]), "variant"),
    ColumnCase("ai_extract by types", lambda f: f.ai_extract("text", {"n": {"type": "integer"}}), "variant"),
]


class Refusal(NamedTuple):
    """A Column that is refused before anything is sent."""

    name: str
    make: Make
    starts: str
    says: str = ""


REFUSALS = [
    Refusal("a wrong type", lambda f: f.ai_query("echo", "text", "NOPE"), "[AI_FUNCTION_UNSUPPORTED_RETURN_TYPE]"),
    Refusal(
        "a Column for a constant",
        lambda f: f.ai_query("echo", "text", returnType=F.col("text")),
        "[DATATYPE_MISMATCH.NON_FOLDABLE_INPUT]",
        "returnType of ai_query must be a constant",
    ),
    Refusal(
        "a flag that is none",
        lambda f: f.ai_query("echo", "text", failOnError="no"),
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
        "failOnError of ai_query must be BOOLEAN, not STRING",
    ),
    Refusal(
        "a request that is no column",
        lambda f: f.ai_query("echo", 5),
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
        "request of ai_query",
    ),
    Refusal(
        "a STRUCT for a chat model",
        lambda f: f.ai_query(MODEL, F.struct("text"), api="mlflow/v1/chat/completions"),
        "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]",
    ),
    Refusal("an ARRAY", lambda f: f.ai_query("echo", F.array("text")), "[DATATYPE_MISMATCH."),
    Refusal(
        "a wrong parameter",
        lambda f: f.ai_query("echo", "text", modelParameters={"max_tokens": 0}),
        "[AI_FUNCTION_INVALID_MODEL_PARAMETERS.INVALID_NUMERIC_PARAMETER]",
    ),
    Refusal(
        "parameters that are none",
        lambda f: f.ai_query("echo", "text", modelParameters="hot"),
        "[AI_FUNCTION_INVALID_MODEL_PARAMETERS.INVALID_PARAMETER_DATA_TYPE]",
    ),
    Refusal(
        "a wrong option",
        lambda f: f.ai_classify("text", ["a"]),
        "[INVALID_PARAMETER_VALUE]",
        "2 to 20 different labels",
    ),
    Refusal("too few words", lambda f: f.ai_summarize("text", -1), "[AI_FUNCTION_INVALID_MAX_WORDS]"),
    Refusal("an unknown API", lambda f: f.ai_query("echo", "text", api="nope"), "endpoint echo: no API 'nope'"),
    Refusal("tags that are none", lambda f: f.ai_query("echo", "text", requestTags="x"), "[DATATYPE_MISMATCH."),
]


def frame(spark: SparkSession) -> DataFrame:
    """A row: `text`, `number`, `image`."""
    image = f"X'{PNG.hex()}'"
    return spark.range(0, 1, 1, 1).selectExpr("'hello' AS text", "CAST(id + 7 AS INT) AS number", f"{image} AS image")


class AnsweredColumns(NamedTuple):
    """The cases' columns, and the bodies that the echo server got for them."""

    answers: dict[str, Answered]
    bodies: list[Any]


def answered_columns(spark: SparkSession, functions: Any) -> AnsweredColumns:
    """Asks for the columns of all cases by one query."""
    BODIES.clear()
    frames = {case.name: frame(spark).select(case.make(functions).alias("answer")) for case in CASES}
    return AnsweredColumns(answered_together(frames), list(BODIES))


def check_column(case: ColumnCase, found: AnsweredColumns) -> None:
    """Asserts all that the case says."""
    answered, (row,) = found.answers[case.name]
    assert answered.schema["answer"].dataType.simpleString() == case.type
    value = json.loads(json.dumps(plain(row.answer)))
    if case.value is not None:
        assert value == case.value
    if case.sent is not None:
        assert len([body for body in found.bodies if part_of(case.sent, body)]) == 1, found.bodies


def check_refusal(case: Refusal, spark: SparkSession, functions: Any) -> None:
    """Asserts that the Column is refused, by one line, before it is run."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  its text is checked below
        frame(spark).select(case.make(functions)).schema  # noqa: B018
    line = first_line(caught.value)
    assert line.startswith(case.starts), line
    assert case.says in line
