"""CSV by RFC 4180, read exactly: Spark's reader takes `""` for NULL, changes line breaks in a text and drops NUL."""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from gateway_batch.errors import ConfigError
from gateway_batch.spark.files.bad_input import Faults

_LONGEST_ROW = 64 << 20
_FIELD = re.compile(rb'"(?:[^"]|"")*+"')
_OPENS = re.compile(rb'[,\r\n]"')

# Of bytes: what is not UTF-8 is read byte by byte, and written as it was.
_UTF_8, _BYTES = "utf8", "latin-1"


def write_parquet(paths: Sequence[Path], folder: Path, faults: Faults) -> None:
    """Writes a Parquet file for each CSV file, all columns STRING.

    A file has a header, and fields in quotes as they may be; nothing between two commas is NULL. The first column is
    `_c0` if it has no name, as Spark calls it, and so on. Bytes that are not UTF-8 stay as they are. Rows are held
    64 MB at a time.

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
            encoding = _UTF_8 if _is_utf_8(path) else _BYTES
            names = _names(path, encoding)
            if header is not None and names != header:
                raise ConfigError(f"{path}: its header is not that of {paths[0]}")
            header = names
            _check_quotes(path)
            _convert(path, folder / f"{number}.parquet", names, encoding, faults)
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: its header is not UTF-8: save the file as UTF-8") from None
        except pa.ArrowInvalid:
            raise ConfigError(
                f"{path} is no CSV: it has no header, a quote is not closed, or a row is longer than "
                f"{_LONGEST_ROW >> 20} MB"
            ) from None


def _names(path: Path, encoding: str) -> list[str]:
    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
    read = csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False, encoding=encoding)
    found = csv.open_csv(path, read, parse).schema.names
    if encoding is _BYTES:
        found = [name.encode(_BYTES).decode().removeprefix("\ufeff") for name in found]
    names = [name or f"_c{place}" for place, name in enumerate(found)]
    folded = [name.lower() for name in names]
    if twice := next((name for name in names if folded.count(name.lower()) > 1), None):
        raise ConfigError(f"{path}: two columns are named {twice!r}")
    return names


def _check_quotes(path: Path) -> None:
    """Sees that each field in quotes is closed, and doesn't continue after a quote with a backslash before it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b'\\"') < 0 and not _has_odd_quotes(path):
            return
        for start in _openings(content):
            found = _FIELD.match(content, start)
            if found is None:
                raise ConfigError(f"{path}: a quote is not closed: a field continues to the end of the file")
            end = found.end()
            goes_on = end < len(content) and content[end : end + 1] not in (b",", b"\r", b"\n")
            if goes_on and content[end - 2 : end] == b'\\"':
                raise ConfigError(
                    f"{path}: at byte {end} a field continues after its closing quote: CSV doubles the quotes in a text"
                    " (RFC 4180), and has no backslash before them; Spark writes it so with the option escape='\"'"
                )


def _has_odd_quotes(path: Path) -> bool:
    count = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            count += part.count(b'"')
    return count % 2 == 1


def _openings(content: mmap.mmap) -> Iterator[int]:
    """Where fields in quotes begin; a quote in a field without them is a part of it."""
    place = 3 * (content[:3] == codecs.BOM_UTF8)
    if content[place : place + 1] != b'"':
        place = _opening(content, place)
    while place >= 0:
        yield place
        closed = _FIELD.match(content, place)
        place = -1 if closed is None else _opening(content, closed.end())


def _opening(content: mmap.mmap, start: int) -> int:
    found = _OPENS.search(content, start)
    return -1 if found is None else found.end() - 1


def _convert(path: Path, target: Path, names: list[str], encoding: str, faults: Faults) -> None:
    refused: ConfigError | None = None

    def note(row: csv.InvalidRow) -> str:
        nonlocal refused
        fields = f"{row.actual_columns} fields, not {row.expected_columns}"
        try:
            faults.meet(f"{path}: row {row.number}, the header counted, has {fields}")
        except ConfigError as error:  # pyarrow would print it and continue
            refused = error
            return "error"
        return "skip"

    read = csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False, encoding=encoding)
    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
    as_read = {"", *names, *(f"{bom}{name}".encode().decode(_BYTES) for name in names for bom in ("", "\ufeff"))}
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(as_read, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,
    )
    try:
        rows = csv.open_csv(path, read, parse, convert)
        with pq.ParquetWriter(target, pa.schema([(name, pa.string()) for name in names])) as writer:
            for batch in rows:
                columns = batch.columns if encoding is _UTF_8 else [_as_bytes(column) for column in batch.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, names=names))
    except pa.ArrowInvalid:
        if refused is not None:
            raise refused from None
        raise


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _as_bytes(column: pa.Array) -> pa.Array:
    """A column that was read byte by byte, as the texts that these bytes are."""
    texts = [None if text is None else text.encode(_BYTES) for text in column.to_pylist()]
    return pa.array(texts, pa.binary()).view(pa.string())
