"""Any text and any number goes to a model, comes back and is kept in files as it is, or is its row's error."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, Row, SparkSession

from gateway_batch.spark.files.file_output import write_rows
from gateway_batch.spark.files.tables import read_table
from tests.conformance.echo import WRITTEN
from tests.conformance.session import endpoints
from tests.spark.conftest import Register

ROWS = 300
PIECES = (
    *(b'"', b"'", b"\\", b'\\"', b",", b"\t", b"\n", b"\r", b"\r\n", b" ", b"  ", b"\x00", b"\x01", b"\x1f", b"\x7f"),
    *(b"{", b"}", b"a", b"0", b"null", b"NaN", b"\\u0041", b"</script>"),
    *(text.encode() for text in ("\u00a0", "\u2028", "\ufeff", "\ufffd", "é", "日本", "🦆")),
)
NO_TEXT = (b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc3")
TYPE = "STRUCT<text: STRING, exact: DECIMAL(38,9), whole: BIGINT, wide: DOUBLE, at: TIMESTAMP>"
NUMBERS = ("exact", "whole", "wide", "at")


class Values(NamedTuple):
    """A row; `data` is the bytes of its text."""

    place: int
    data: bytes | None
    exact: Decimal | None
    whole: int | None
    wide: float | None
    at: datetime | None

    @property
    def text(self) -> str | None:
        return None if self.data is None else self.data.decode()

    @property
    def is_text(self) -> bool:
        return self.data is None or self.data.decode(errors="replace").encode() == self.data


def values(rng: random.Random) -> Iterator[Values]:
    for place in range(ROWS):
        pieces = rng.choices(PIECES, k=rng.randrange(1, 9))
        if place % 50 == 7:
            pieces.append(rng.choice(NO_TEXT))
        data = None if place % 20 == 3 else b"" if place % 20 == 4 else b"".join(pieces)
        digits = rng.randrange(10 ** rng.randrange(1, 38))
        numbers = (
            Decimal(digits * rng.choice((1, -1))).scaleb(-9),
            rng.choice((0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), rng.getrandbits(62))),
            rng.choice((0.0, -0.0, 0.1, 1e300, 5e-324, -1.5, rng.random(), math.nan, math.inf, -math.inf)),
            datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=rng.randrange(4 * 10**15)),
        )
        yield Values(place, data, *(None if rng.random() < 0.1 else number for number in numbers))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rows() -> list[Values]:
    return list(values(random.Random(29)))


@pytest.fixture(scope="module")
def frame(spark: SparkSession, rows: list[Values]) -> DataFrame:
    schema = "place INT, data BINARY, exact DECIMAL(38,9), whole BIGINT, wide DOUBLE, at TIMESTAMP"
    given = [(row.place, None if row.data is None else bytearray(row.data), *row[2:]) for row in rows]
    return spark.createDataFrame(given, schema).selectExpr("place", "CAST(data AS STRING) AS text", *NUMBERS)


@pytest.fixture(autouse=True)
def _asking(register: Register, echo_server: str) -> None:
    register(endpoints=endpoints(echo_server))


def same(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other


def number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def test_records(frame: DataFrame, rows: list[Values]) -> None:
    WRITTEN.clear()
    call = "ai_query('echo', struct(*), api => 'mlflow/v1/invocations', failOnError => false)"
    answers = {row.place: row.a for row in frame.selectExpr("place", f"{call} AS a").collect()}
    written = [json.loads(body, parse_float=Decimal)["dataframe_records"][0] for body in WRITTEN]
    sent = {record["place"]: record for record in written}
    assert len(written) == len(sent)
    for row in rows:
        assert answers[row.place].errorMessage is None
        record = sent[row.place]
        if row.is_text:
            assert record["text"] == row.text
        else:
            assert record["text"].count("\ufffd") > (row.data or b"").count("\ufffd".encode())
        assert record["exact"] == row.exact
        assert record["whole"] == row.whole
        assert (None if record["wide"] is None else float(record["wide"])) == number(row.wide)
        at = record["at"]
        assert (None if at is None else datetime.fromisoformat(at)) == row.at


def test_answers_and_files(spark: SparkSession, frame: DataFrame, rows: list[Values], tmp_path: Path) -> None:
    def body(row: Values) -> str:
        written = {
            "text": row.text if row.is_text else "\ud800",
            "exact": None if row.exact is None else f"{row.exact:f}",
            "whole": row.whole,
            "wide": number(row.wide),
            "at": None if row.at is None else row.at.isoformat(),
        }
        text = json.dumps({"predictions": [written]})
        return text.replace(f'"exact": "{row.exact:f}"', f'"exact": {row.exact:f}') if row.exact is not None else text

    bodies = spark.createDataFrame([(row.place, body(row)) for row in rows], "place INT, body STRING")
    call = f"""ai_query('raw', named_struct('place', place, 'body', body), api => 'mlflow/v1/invocations',
                        returnType => '{TYPE}', failOnError => false)"""
    answered = bodies.selectExpr("place", f"{call} AS a").cache()
    answers: dict[int, Row] = {row.place: row.a for row in answered.collect()}
    for row in rows:
        answer = answers[row.place]
        assert answer.errorMessage is None
        found = answer.result
        text = row.text if row.is_text else "\ufffd"
        assert (found.text, found.exact, found.whole) == (text, row.exact, row.whole)
        assert same(found.wide, number(row.wide))
        assert (None if found.at is None else found.at.astimezone(UTC)) == row.at

    kept = answered.where("a.result IS NOT NULL").selectExpr("place", "a.result.*").sort("place")
    assert kept.count() == len(rows)
    for name in ("rows.parquet", "rows.csv", "rows.jsonl"):
        write_rows(kept, tmp_path / name)
        again = read_table(spark, tmp_path / name)
        columns = [f"CAST({field.name} AS {field.dataType.simpleString()}) AS {field.name}" for field in kept.schema]
        assert_df_equality(again.selectExpr(*columns), kept, ignore_nullable=True)
    answered.unpersist()
