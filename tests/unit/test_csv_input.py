"""CSV as it is read for `--input`, tried without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.spark.csv_input import as_parquet


def rows(tmp_path: Path, content: bytes) -> list[Any]:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    table = pq.read_table(as_parquet(path))
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'a,b\n1,"x, ""y"""\n', [("1", 'x, "y"')]),
        (b'a,b\r\n,""\r\n', [(None, "")]),
        (b'a,b\r\n"1\r\n2\n3\r4","\0"\r\n', [("1\r\n2\n3\r4", "\0")]),
        (b'a,b\n" 1 ", 2 \n', [(" 1 ", " 2 ")]),
        (b"a,b\n1,\xc3\xa9", [("1", "é")]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [("1", "2")]),
        (b"a,b\n", []),
        (b'a,b\n5" pipe,2\n', [('5" pipe', "2")]),
        (b"a,b\n1," + b"x" * 3_000_000 + b"\n", [("1", "x" * 3_000_000)]),
    ],
    ids=[
        "quotes",
        "NULL and empty",
        "line ends",
        "blanks",
        "no last line end",
        "byte order mark",
        "header",
        "inch",
        "long",
    ],
)
def test_fields_are_read_as_they_are(tmp_path: Path, content: bytes, found: list[Any]) -> None:
    assert rows(tmp_path, content) == found


def test_bytes_that_are_not_utf_8_stay(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(b"a\ncaf\xe9\n")
    assert pq.read_table(as_parquet(path)).column("a").cast("binary").to_pylist() == [b"caf\xe9"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n1,2\nsecret\n", "in.csv: row 3, the header counted, has 1 fields, not 2"),
        (b'a,b\n1,"x\ny"\n1,2,secret\n', "in.csv: row 3, the header counted, has 3 fields, not 2"),
        (b'a,b\n1,"secret\n2,3\n', "in.csv: a quote is not closed"),
        (b'a,b\n1,"secret', "in.csv: a quote is not closed"),
        (b"", "in.csv is no CSV"),
        (b"a,A\n1,2\n", "in.csv: two columns are named 'a'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_its_texts(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rows(tmp_path, content)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
