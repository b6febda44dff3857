"""CSV by RFC 4180, read exactly: Spark's reader takes `""` for NULL, changes line breaks in a text and drops NUL."""

from __future__ import annotations

import mmap
import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from gateway_batch.errors import ConfigError
from gateway_batch.spark.bad_input import Faults

_LONGEST_ROW = 64 << 20
_FIELD = re.compile(rb'"(?:[^"]|"")*+"')
_OPENS = re.compile(rb'[,\r\n]"')


def write_parquet(paths: Sequence[Path], folder: Path, faults: Faults) -> None:
    """Writes a Parquet file for each CSV file, all columns STRING.

    A file has a header, and fields in quotes as they may be; nothing between two commas is NULL. A first column without
    a name is `_c0`, as Spark calls it. Bytes that are not UTF-8 stay as they are. Rows are held 64 MB at a time.

    Args:
        paths: the CSV files, whose headers are equal.
        folder: where the Parquet files go.
        faults: takes rows that have more or fewer fields than the header.

    Raises:
        ConfigError: such a row isn't left out, names of columns are equal, headers differ, or a file is no CSV.
    """
    header: list[str] | None = None
    for number, path in enumerate(paths):
        try:
            names = _names(path)
            if header is not None and names != header:
                raise ConfigError(f"{path}: its header is not that of {paths[0]}")
            header = names
            _check_quotes(path)
            _convert(path, folder / f"{number}.parquet", names, faults)
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: its header is not UTF-8: save the file as UTF-8") from None
        except pa.ArrowInvalid:
            raise ConfigError(
                f"{path} is no CSV: it has no header, a quote is not closed, or a row is longer than "
                f"{_LONGEST_ROW >> 20} MB"
            ) from None


def _check_quotes(path: Path) -> None:
    if (place := _behind_a_quote(path)) is not None:
        raise ConfigError(
            f"{path}: at byte {place} a field goes on behind its closing quote: CSV doubles the quotes in a text "
            "(RFC 4180), and has no backslash before them; Spark writes it so with the option escape='\"'"
        )


def _convert(path: Path, target: Path, names: list[str], faults: Faults) -> None:
    ragged = b""
    refused: ConfigError | None = None

    def note(row: csv.InvalidRow) -> str:
        nonlocal ragged, refused
        ragged, fields = row.text.encode(), f"{row.actual_columns} fields, not {row.expected_columns}"
        try:
            faults.meet(f"{path}: row {row.number}, the header counted, has {fields}")
        except ConfigError as error:  # pyarrow would print it and go on
            refused = error
            return "error"
        return "skip"

    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys((*names, ""), pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,
    )
    last = None
    try:
        rows = csv.open_csv(path, csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False), parse, convert)
        with pq.ParquetWriter(target, pa.schema([(name, pa.string()) for name in names])) as writer:
            for batch in rows:
                writer.write_batch(batch.rename_columns(names))
                last = batch.slice(batch.num_rows - 1) if batch.num_rows else last
    except pa.ArrowInvalid:
        if refused is not None:
            raise refused from None
        raise
    field = b"" if last is None else last.column(last.num_columns - 1).cast(pa.binary())[0].as_py() or b""
    if _ends_inside(path, field, ragged):
        raise ConfigError(f"{path}: a quote is not closed: a field goes on to the end of the file")


def _ends_inside(path: Path, field: bytes, ragged: bytes) -> bool:
    """Whether a file ends within quotes: there is an odd one, and what was read last has the file's very end in it.

    Args:
        path: of the file.
        field: the last row's last; its line's end is not in it, if it isn't in quotes.
        ragged: the last row that was left out, without its line's end.
    """
    quotes, end = 0, b""
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            quotes += part.count(b'"')
            end = (end + part)[-len(ragged) - 2 :]
    if quotes % 2 == 0:
        return False
    return field.endswith(end[-1:]) or (bool(ragged.count(b'"') % 2) and end.rstrip(b"\r\n").endswith(ragged))


def _behind_a_quote(path: Path) -> int | None:
    """Where a field goes on behind its closing quote, if backslashes before quotes are why."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b'\\"') < 0:
            return None
        start, end = 3 * (content[:3] == BOM_UTF8), len(content)
        place = start if content[start : start + 1] == b'"' else _opening(content, start)
        while place >= 0:
            found = _FIELD.match(content, place)
            if found is None:
                return None
            place = found.end()
            if place < end and content[place : place + 1] not in (b",", b"\r", b"\n"):
                return place
            place = _opening(content, place)
    return None


def _opening(content: mmap.mmap, start: int) -> int:
    """Where the next field in quotes begins; -1 where none does."""
    found = _OPENS.search(content, start)
    return -1 if found is None else found.end() - 1


def _names(path: Path) -> list[str]:
    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
    found = csv.open_csv(path, csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False), parse).schema.names
    names = [name or f"_c{place}" for place, name in enumerate(found)]
    folded = [name.lower() for name in names]
    if twice := next((name for name in names if folded.count(name.lower()) > 1), None):
        raise ConfigError(f"{path}: two columns are named {twice!r}")
    return names
