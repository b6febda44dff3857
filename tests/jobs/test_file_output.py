"""Rows that are written to files come back as they were, by other programs and by ourselves."""

from __future__ import annotations

import csv
import gzip
import json
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files import tables
from gateway_batch.spark.files.bad_input import Faults
from gateway_batch.spark.files.file_output import write_rows
from gateway_batch.spark.files.tables import read_table

ROWS = 400
PIECES = (
    *('"', '""', "'", "\\", '\\"', ",", ";", "\t", "\n", "\r", "\r\n", " ", "  ", "\u00a0", "\u2028", "#", "=", "\x00"),
    *(
        "\x01",
        "\x1f",
        "\x7f",
        "\ufeff",
        "\ufffd",
        "a",
        "B",
        "0",
        "-1",
        "NULL",
        "null",
        "NaN",
        "true",
        "é",
        "日本",
        "🦆",
    ),
)


def texts(seed: int) -> list[tuple[int, str | None, str | None]]:
    rng = random.Random(seed)

    def text() -> str | None:
        return rng.choice([None, "", "".join(rng.choices(PIECES, k=rng.randrange(1, 9)))])

    return [(place, text(), text()) for place in range(ROWS)]


@pytest.fixture(scope="module")
def rows() -> list[tuple[int, str | None, str | None]]:
    return texts(seed=21)


@pytest.fixture(scope="module")
def frame(spark: SparkSession, rows: list[tuple[int, str | None, str | None]]) -> DataFrame:
    return spark.createDataFrame(rows, "place INT, first STRING, `second, of two` STRING").repartitionByRange(
        4, "place"
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.jsonl", "rows.parquet", "rows"])
def test_texts_come_back_as_they_were(
    spark: SparkSession, frame: DataFrame, rows: list[tuple[int, str | None, str | None]], tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_rows(frame, path)
    write_rows(frame, path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.is_file() is (name != "rows")
    again = read_table(spark, path).select(F.col("place").cast("int"), "first", "`second, of two`")
    assert_df_equality(again, spark.createDataFrame(rows, frame.schema), ignore_row_order=name == "rows")


def test_other_programs_read_the_same_csv(
    frame: DataFrame, rows: list[tuple[int, str | None, str | None]], tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    write_rows(frame, path)
    with path.open(encoding="utf-8", newline="") as file:
        header, *found = csv.reader(file)
    as_text = [[str(place), first or "", second or ""] for place, first, second in rows]
    assert header == frame.columns
    assert found == as_text
    read = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator=None)
    assert read.columns.tolist() == frame.columns


def test_values_of_other_types(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.sql(
        "SELECT CAST(9007199254740993 AS BIGINT) AS whole, 12345678901234567890.1234BD AS exact, 1e300D AS wide, "
        "true AS yes, DATE'2026-11-29' AS day, TIMESTAMP'2026-11-29 13:45:00.123456Z' AS at, X'00FF' AS bytes, "
        "named_struct('a', CAST(NULL AS INT), 'b', array('x\"y')) AS nested, CAST(NULL AS DOUBLE) AS none"
    )
    for name in ("one.csv", "one.json", "one.parquet"):
        write_rows(frame, tmp_path / name)

    with (tmp_path / "one.csv").open(encoding="utf-8", newline="") as file:
        ((written),) = csv.DictReader(file)
    assert datetime.fromisoformat(written.pop("at")) == datetime(2026, 11, 29, 13, 45, 0, 123456, tzinfo=UTC)
    assert written == {
        "whole": "9007199254740993",
        "exact": "12345678901234567890.1234",
        "wide": "1.0E300",
        "yes": "true",
        "day": "2026-11-29",
        "bytes": "AP8=",
        "nested": '{"a":null,"b":["x\\"y"]}',
        "none": "",
    }
    line = json.loads((tmp_path / "one.json").read_text(), parse_float=Decimal)
    assert line["whole"] == 9007199254740993
    assert line["exact"] == Decimal("12345678901234567890.1234")
    assert line["nested"] == {"a": None, "b": ['x"y']}
    assert line["none"] is None
    assert_df_equality(read_table(spark, tmp_path / "one.parquet"), frame, ignore_nullable=True)
    assert pq.read_table(tmp_path / "one.parquet", columns=["day"]).to_pylist() == [{"day": date(2026, 11, 29)}]


def test_rows_of_several_partitions_keep_their_order(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(0, 1000, 1, 7).orderBy(F.col("id").desc())
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        write_rows(frame, tmp_path / name)
        again = read_table(spark, tmp_path / name).select(F.col("id").cast("bigint"))
        assert_df_equality(again, spark.range(999, -1, -1), ignore_nullable=True)


@pytest.mark.parametrize("ending", [".csv", ".json", ".parquet", ""])
def test_what_a_glob_would_read_is_part_of_a_name(spark: SparkSession, tmp_path: Path, ending: str) -> None:
    frame = spark.range(0, 4, 1, 2).select(F.col("id").cast("string").alias("id"))
    folder = tmp_path / "[2024] {a,b} 16:00"
    folder.mkdir()
    (folder / f"a1{ending}").write_text("another's")
    for name in ("a[1] {x} star* what? back\\slash per%20cent", "16:00 [1]"):
        path = folder / f"{name}{ending}"
        write_rows(frame, path)
        assert_df_equality(read_table(spark, path), frame, ignore_row_order=True, ignore_nullable=True)


def test_no_rows_and_one_column_with_nulls(spark: SparkSession, tmp_path: Path) -> None:
    none = spark.createDataFrame([], "a INT, b STRING")
    write_rows(none, tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_bytes() == b"a,b\r\n"
    write_rows(none, tmp_path / "none.parquet")
    assert read_table(spark, tmp_path / "none.parquet").schema == none.schema
    write_rows(spark.createDataFrame([("x",), (None,), ("",)], "a STRING").coalesce(1), tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_bytes() == b'a\r\n"x"\r\n""\r\n""\r\n'


def test_a_nested_name_may_have_any_character(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.sql("SELECT array(named_struct('full name', 'x')) AS a")
    write_rows(frame, tmp_path / "out")
    assert_df_equality(read_table(spark, tmp_path / "out"), frame, ignore_nullable=True)


def test_a_new_column_replaces_a_delta_folder(spark: SparkSession, tmp_path: Path) -> None:
    write_rows(spark.range(2), tmp_path / "out")
    write_rows(spark.range(2).withColumn("more", F.lit(1)), tmp_path / "out")
    assert read_table(spark, tmp_path / "out").columns == ["id", "more"]


def test_a_json_file_is_lines_or_one_document(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    for text in ('{"id": 1}\n{"id": 2}\n', '[\n  {"id": 1},\n  {"id": 2}\n]\n', "{'id': 1}\n{'id': 2}"):
        path.write_text(text)
        assert [row.id for row in read_table(spark, path).collect()] == [1, 2]
    path.write_text('{\n  "id": 1\n}\n')
    assert [row.id for row in read_table(spark, path).collect()] == [1]
    path.write_text('{"id": 1}\n{"id": 2\n')
    with pytest.raises(ConfigError, match=r"in\.json: line 2 is no JSON"):
        read_table(spark, path)
    partitioned = tmp_path / "parts.json" / "day=1"
    partitioned.mkdir(parents=True)
    path.rename(partitioned / "a.json")
    with pytest.raises(ConfigError, match=r"parts\.json: there is a line that is no JSON object"):
        read_table(spark, partitioned.parent)


def test_where_workers_are_on_other_hosts_faults_are_named_and_nothing_is_left_out(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "runs_on_one_host", lambda session: False)
    rows, lines, packed = tmp_path / "in.csv", tmp_path / "in.json", tmp_path / "packed.csv"
    rows.write_text("id,body\n1,deep\n")
    whole = spark.createDataFrame([("1", "deep")], "id STRING, body STRING")
    assert_df_equality(read_table(spark, rows), whole)
    rows.write_text("id,body\n1,secret\n2\n")
    lines.write_text('{"id": 1}\n{"id": secret}\n')
    packed.mkdir()
    with gzip.open(packed / "part-0.csv.gz", "wt") as part:
        part.write("id,body\n1,deep\n")
    assert_df_equality(read_table(spark, packed), whole)
    for path, fault in ((rows, "row 3, the header counted, has 1 fields"), (lines, "line 2 is no JSON")):
        with pytest.raises(ConfigError, match=fault) as caught:
            read_table(spark, path)
        assert "secret" not in str(caught.value)
    for path in (rows, lines, packed):
        with pytest.raises(ConfigError, match="rows can be left out only where"):
            read_table(spark, path, Faults(skip=True))
