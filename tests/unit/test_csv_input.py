"""CSV as it is read for `--input`, tried without Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files.bad_input import Faults
from gateway_batch.spark.files.csv_input import write_parquet


def table(tmp_path: Path, *contents: bytes, faults: Faults | None = None) -> pa.Table:
    """The rows of files `in.csv`, `in1.csv`, ..."""
    paths = [tmp_path / f"in{number or ''}.csv" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    write_parquet(paths, tmp_path, faults or Faults())
    return pa.concat_tables([pq.read_table(tmp_path / f"{number}.parquet") for number in range(len(contents))])


def rows(tmp_path: Path, *contents: bytes, faults: Faults | None = None) -> list[Any]:
    return [tuple(row.values()) for row in table(tmp_path, *contents, faults=faults).to_pylist()]


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
        (b'\xef\xbb\xbf"a",b\n"C:\\","5\\"" ,\n""x"\n', [("C:\\", '5\\" ,\n"x')]),
        (b",a,\n0,x,\n", [("0", "x", None)]),
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
        "backslashes",
        "columns without names",
        "long",
    ],
)
def test_fields_are_read_as_they_are(tmp_path: Path, content: bytes, found: list[Any]) -> None:
    assert rows(tmp_path, content) == found


def test_bytes_that_are_not_utf_8_stay(tmp_path: Path) -> None:
    assert table(tmp_path, b"a\ncaf\xe9\n").column("a").cast("binary").to_pylist() == [b"caf\xe9"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n1,2\nsecret\n", "in.csv: row 3, the header counted, has 1 fields, not 2"),
        (b'a,b\n1,"x\ny"\n1,2,secret\n', "in.csv: row 3, the header counted, has 3 fields, not 2"),
        (b'a,b\n1,"secret\n2,3\n', "in.csv: a quote is not closed"),
        (b'a,b\n1,"secret', "in.csv: a quote is not closed"),
        (b"", "in.csv is no CSV"),
        (b"a,A\n1,2\n", "in.csv: two columns are named 'a'"),
        ("größe,b\n1,secret\n".encode("latin-1"), "in.csv: its header is not UTF-8"),
        ("a,b\n1,secret\n".encode("utf-16"), "in.csv: its header is not UTF-8"),
        (b'id,b\n1,"He said \\"hi\\" to me"\n', "in.csv: at byte 18 a field continues after its closing quote"),
        (b'id,b\n1,"He said \\"hi\\", to me"\n', "in.csv: at byte 18 a field continues after its closing quote"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_without_its_texts(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rows(tmp_path, content)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_rows_that_cant_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    faults = Faults(skip=True)
    found = rows(tmp_path, b'a,b\n1\n1,"x\ny"\n1,2,secret\n', b"a,b\n3,4\nsecret\n", faults=faults)
    assert found == [("1", "x\ny"), ("3", "4")]
    assert faults.count == 3
    assert faults.first == f"{tmp_path / 'in.csv'}: row 2, the header counted, has 1 fields, not 2"


@pytest.mark.parametrize("content", [b'a,b\n1,"secret\n2,3\n', b'a,b\n1,2\n"secret\n2,3\n'], ids=["field", "row"])
def test_a_quote_that_is_not_closed_leaves_nothing_out_to_the_end(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"in\.csv: a quote is not closed"):
        rows(tmp_path, content, faults=Faults(skip=True))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a,b\n1,2\n\xe9,2,3\n4,\xe9\n", [(b"1", b"2"), (b"4", b"\xe9")]),
        (b'a,b\n1,2\n1,5" disk,3\n', [(b"1", b"2")]),
        (b'a,b\n1\n7,5" disk', [(b"7", b'5" disk')]),
        (b'a,b\n1\n"x" ,"C:\\"\n', [(b"x ", b"C:\\")]),
    ],
    ids=["bytes", "inch in a row left out", "inch at the end", "blank behind a quote"],
)
def test_what_is_left_out_takes_nothing_else_along(tmp_path: Path, content: bytes, found: list[Any]) -> None:
    faults = Faults(skip=True)
    binary = table(tmp_path, content, faults=faults)
    columns = [binary.column(name).cast(pa.binary()).to_pylist() for name in binary.column_names]
    assert list(zip(*columns, strict=True)) == found
    assert faults.count == 1


def test_a_ragged_row_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"in\.csv: row 3, the header counted, has 3 fields, not 2"):
        rows(tmp_path, b"a,b\n1,2\n\xe9,2,3\n4,5\n")


def test_files_of_a_folder_have_one_header(tmp_path: Path) -> None:
    assert rows(tmp_path, b"a,b\n1,2\n", b"a,b\n3,4\n") == [("1", "2"), ("3", "4")]
    with pytest.raises(ConfigError, match=r"in1\.csv: its header is not that of .*in\.csv"):
        rows(tmp_path, b"a,b\n1,2\n", b"b,a\n3,4\n")
