"""CSV by RFC 4180, read exactly: Spark's reader takes `""` for NULL, changes line breaks in a text and drops NUL."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from gateway_batch.errors import ConfigError

_LONGEST_ROW = 64 << 20


def as_parquet(path: Path) -> Path:
    """A Parquet file of a CSV file's rows, all columns STRING, that is there until this process ends.

    The file has a header, and fields in quotes as they may be; nothing between two commas is NULL. Bytes that are not
    UTF-8 stay as they are. Rows are held 64 MB at a time.

    Raises:
        ConfigError: a row has more or fewer fields than the header, names of columns are equal, or the file is no CSV.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway_batch-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ragged: list[csv.InvalidRow] = []

    def note(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        _convert(path, folder / "rows.parquet", csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note))
    except pa.ArrowInvalid:
        if not ragged:
            raise ConfigError(
                f"{path} is no CSV: it has no header, a quote is not closed, or a row is longer than "
                f"{_LONGEST_ROW >> 20} MB"
            ) from None
        row = ragged[0]
        raise ConfigError(
            f"{path}: row {row.number}, the header counted, has {row.actual_columns} fields, not {row.expected_columns}"
        ) from None
    return folder / "rows.parquet"


def _convert(path: Path, target: Path, parse: csv.ParseOptions) -> None:
    names = _names(path, parse)
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,
    )
    rows = csv.open_csv(path, csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False), parse, convert)
    last = None
    with pq.ParquetWriter(target, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
            last = batch.slice(batch.num_rows - 1) if batch.num_rows else last
    if last is not None and _ends_inside(path, last.column(last.num_columns - 1).cast(pa.binary())[0].as_py()):
        raise ConfigError(f"{path}: a quote is not closed: a field goes on to the end of the file")


def _ends_inside(path: Path, last: bytes | None) -> bool:
    """Whether a file ends within the quotes of its last field: there is an odd one, and the end is in the field too."""
    quotes, end = 0, b""
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            quotes += part.count(b'"')
            end = part[-1:]
    return quotes % 2 == 1 and (last or b"").endswith(end)


def _names(path: Path, parse: csv.ParseOptions) -> list[str]:
    found = csv.open_csv(path, csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False), parse).schema.names
    folded = [name.lower() for name in found]
    if twice := next((name for name in found if folded.count(name.lower()) > 1), None):
        raise ConfigError(f"{path}: two columns are named {twice!r}")
    return list(found)
