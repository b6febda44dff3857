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
    with pq.ParquetWriter(target, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)


def _names(path: Path, parse: csv.ParseOptions) -> list[str]:
    found = csv.open_csv(path, csv.ReadOptions(block_size=_LONGEST_ROW, use_threads=False), parse).schema.names
    folded = [name.lower() for name in found]
    if twice := next((name for name in found if folded.count(name.lower()) > 1), None):
        raise ConfigError(f"{path}: two columns are named {twice!r}")
    return list(found)
