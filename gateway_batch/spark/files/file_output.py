"""Writes a query's rows to a file that users' other programs read, or to a folder of Delta."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t

from gateway_batch.local_files.outputs import staging_folder
from gateway_batch.spark.delta_tables.creation import needs_column_mapping
from gateway_batch.spark.files.tables import CSV, DELTA, PARQUET, kind_of, one_path
from gateway_batch.spark.sql_types.record_json import OPTIONS

_UNQUOTED = (t.NumericType, t.BooleanType, t.DateType)
_NESTED = (t.ArrayType, t.MapType, t.StructType, t.VariantType)
_PLACE = "_gateway_batch_place"


def write_rows(frame: DataFrame, path: Path) -> None:
    """Writes rows, in their order, to one file of CSV, JSON lines or Parquet by the path's ending, else to Delta.

    CSV is that of RFC 4180 in UTF-8, with a header: each text is in quotes, so that an empty one differs from NULL,
    which is nothing; BINARY is base64, arrays, maps and structs are JSON, times have microseconds and their offset.

    Args:
        frame: the rows; it is computed once.
        path: what is there is replaced when all rows are written.

    Raises:
        ConfigError: nothing can be written there.
        PySparkException: the query fails, or the kind of file has no such type.
    """
    kind = kind_of(path)
    with staging_folder(path) as folder:
        if kind == DELTA:
            _write_delta(frame, path.resolve(), folder / "table")
            return
        if kind == PARQUET:
            whole = _one_parquet(frame, folder)
        else:
            whole = folder / "whole"
            with whole.open("wb") as file:
                if kind == CSV:
                    _lines(frame).write.option("lineSep", "\r\n").text(str(folder / "parts"))
                    file.write(_header(frame.columns))
                    _join(_parts(folder / "parts"), file)
                else:
                    _join(_json_parts(frame, folder), file)
        os.replace(whole, path.resolve())


def json_lines(frame: DataFrame) -> Iterator[str]:
    """Rows, in their order, as JSON; the first when all are computed.

    Raises:
        PySparkException: the query fails.
    """
    with tempfile.TemporaryDirectory(prefix="gateway_batch-") as folder:
        for part in _json_parts(frame, Path(folder)):
            with part.open(encoding="utf-8", errors="replace", newline="\n") as lines:
                yield from (line.removesuffix("\n") for line in lines)


def _json_parts(frame: DataFrame, folder: Path) -> list[Path]:
    frame.write.options(**OPTIONS).json(str(folder / "parts"))
    return _parts(folder / "parts")


def _write_delta(frame: DataFrame, target: Path, new: Path) -> None:
    writer = frame.write.format("delta")
    if needs_column_mapping(frame.schema):
        writer = writer.option("delta.columnMapping.mode", "name")
    if (target / "_delta_log").is_dir():
        writer.mode("overwrite").option("overwriteSchema", True).save(str(target))
    else:
        writer.save(str(new))
        os.replace(new, target)


def _one_parquet(frame: DataFrame, folder: Path) -> Path:
    frame.write.parquet(str(folder / "parts"))
    parts = _parts(folder / "parts")
    if len(parts) > 1:
        place = F.struct("_metadata.file_name", "_metadata.row_index").alias(_PLACE)
        rows = one_path(frame.sparkSession).schema(frame.schema).parquet(str(folder / "parts"))
        in_order = rows.select("*", place).coalesce(1).sortWithinPartitions(_PLACE).drop(_PLACE)
        in_order.write.parquet(str(folder / "joined"))
        parts = _parts(folder / "joined")
    return parts[0]


def _parts(folder: Path) -> list[Path]:
    """Spark's files of a folder, in the order of the partitions."""
    return sorted(folder.glob("part-*"))


def _join(parts: Iterable[Path], file: BinaryIO) -> None:
    for part in parts:
        with part.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)


def _lines(frame: DataFrame) -> DataFrame:
    """Rows as lines of CSV."""
    places = [f"c{place}" for place in range(len(frame.columns))]  # names may be equal
    fields = [_field(F.col(place), field.dataType) for place, field in zip(places, frame.schema, strict=True)]
    if len(fields) == 1:  # an empty line is no row to most readers
        line = F.coalesce(fields[0], F.lit('""'))
    else:
        line = F.concat_ws(",", *(F.coalesce(field, F.lit("")) for field in fields))
    return frame.toDF(*places).select(line)


def _field(value: Column, data_type: t.DataType) -> Column:
    """A value as CSV has it; NULL for NULL."""
    if isinstance(data_type, _UNQUOTED):
        return value.cast("string")
    if isinstance(data_type, t.TimestampType):
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX")
    if isinstance(data_type, t.TimestampNTZType):
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSS")
    if isinstance(data_type, t.BinaryType):
        value = F.base64(value)
    elif isinstance(data_type, _NESTED):
        value = F.to_json(value, OPTIONS)
    return F.concat(F.lit('"'), F.replace(value.cast("string"), F.lit('"'), F.lit('""')), F.lit('"'))


def _header(names: Iterable[str]) -> bytes:
    quoted = (f'"{name.replace(chr(34), chr(34) * 2)}"' if set(name) & set('",\r\n') else name for name in names)
    return (",".join(quoted) + "\r\n").encode()
