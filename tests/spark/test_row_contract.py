"""The row contract over mixed input: each row has one result, its own, of the declared type."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as t

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, Register

PARTITIONS = 7
WIDE = 1_000_000
ODD = (
    "größe 🦊 日本語 \u202e\ufeff\u2028",
    "a\u0000b\u0001\u001f\u007f\r\n\t",
    '"quoted" \'text\' \\ \\u0000 {"json": [1]} %s {0}',
    " \t ",
    "null",
    "7",
    "-2147483648",
    "2147483648",
    "4.5",
    '"8"',
    "[1]",
    "NaN",
)


class Given(NamedTuple):
    """A row of the input."""

    id: int
    kind: str
    prompt: str | None


def rows(seed: int, count: int) -> list[Given]:
    """Rows in any order of kinds; equal prompts come in neighbouring rows and far apart."""
    rng = random.Random(seed)
    kinds = ["number"] * 40 + ["odd"] * 25 + ["null"] * 12 + ["empty"] * 8 + ["same"] * 15 + ["wide"]
    return [Given(id_, kind, _prompt(rng, kind)) for id_, kind in enumerate(rng.choices(kinds, k=count))]


def _prompt(rng: random.Random, kind: str) -> str | None:
    match kind:
        case "number":
            return str(rng.randrange(-(2**33), 2**33))
        case "odd":
            return "".join(rng.choices(ODD, k=rng.choice((1, 1, 2, 5))))
        case "null":
            return None
        case "empty":
            return ""
        case "wide":
            return rng.choice("xä🦊") * WIDE
    return "the same prompt"


def _as_int(prompt: str) -> int | None:
    """What INT makes of an answer; None where it doesn't fit."""
    text = prompt.strip().strip('"')
    return int(text) if text.lstrip("-").isdigit() and -(2**31) <= int(text) < 2**31 else None


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2))])
def test_every_row_has_its_own_result(
    spark: SparkSession, register: Register, server: RunningGateway, echo_server: str, seed: int
) -> None:
    register(endpoints={"echo": {"base_url": echo_server}}, max_attempts=2, max_concurrency=16)
    given = rows(seed, 300)
    frame = spark.createDataFrame(given, "id INT, kind STRING, prompt STRING").repartition(PARTITIONS)
    asked = frame.selectExpr(
        "*",
        "ai_query('echo', prompt, failOnError => false) AS text",
        "ai_query('echo', prompt, 'INT', false) AS number",
    )
    declared = {name: asked.schema[name].dataType for name in ("text", "number")}
    assert declared == {
        "text": t.StructType().add("result", "string").add("errorMessage", "string"),
        "number": t.StructType().add("result", t.IntegerType()).add("errorMessage", "string"),
    }
    answered = {row.id: row for row in asked.collect()}
    assert len(answered) == len(given) == asked.count()
    for row in given:
        text, number = answered[row.id].text, answered[row.id].number
        if row.prompt is None:
            assert (text, number) == (None, None)
            continue
        assert (text.result, text.errorMessage) == (row.prompt, None)
        if row.prompt.strip() == "null":
            assert (number.result, number.errorMessage) == (None, None)
        elif (expected := _as_int(row.prompt)) is not None:
            assert (number.result, number.errorMessage) == (expected, None)
        else:
            assert number.result is None
            assert number.errorMessage.startswith("[AI_FUNCTION_HTTP_PARSE_CAST_ERROR] ")


@pytest.mark.parametrize("seed", [4, pytest.param(5, marks=pytest.mark.nightly)])
def test_failures_of_every_kind_stay_in_their_rows(
    spark: SparkSession, register: Register, server: RunningGateway, seed: int
) -> None:
    register(max_attempts=2, max_concurrency=16)
    server.configure(
        faults=[
            {"match": r"^row \d*1 ", "status": 400, "message": "no such row"},
            {"match": r"^row \d*2 ", "status": 500, "times_per_prompt": 1},
            {"match": r"^row \d*3 ", "not_json": True},
            {"match": r"^row \d*4 ", "disconnect": True, "times_per_prompt": 1},
            {"match": r"^row \d*5 ", "policy": True},
            {"match": r"^row \d*6 ", "truncate": True, "times_per_prompt": 1},
            {"match": r"^row \d*7 ", "latency_ms": 150},
            {"match": r"^row \d*8 ", "status": 429, "retry_after": 0, "times_per_prompt": 1},
        ]
    )
    given = rows(seed, 200)
    frame = spark.createDataFrame(given, "id INT, kind STRING, prompt STRING").repartition(PARTITIONS)
    request = "concat('row ', id, ' is a lake. ', left(prompt, 2000))"
    asked = frame.selectExpr("id", f"ai_query('{MODEL}', {request}, failOnError => false) AS a")
    answered = {row.id: row.a for row in asked.collect()}
    assert len(answered) == len(given)
    classes = {1: "HTTP_REQUEST_ERROR", 3: "JSON_PARSE_ERROR", 5: "HTTP_REQUEST_ERROR"}
    for row in given:
        answer = answered[row.id]
        if row.prompt is None:
            assert answer is None
        elif expected := classes.get(row.id % 10):
            assert answer.result is None
            assert answer.errorMessage.startswith(f"[AI_FUNCTION_{expected}] ")
        else:
            assert answer.errorMessage is None
            assert isinstance(answer.result, str)
