"""Tables in files, by what their names say."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from gateway_batch.errors import ConfigError

_READERS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}


def read_table(spark: SparkSession, path: Path) -> DataFrame:
    """A CSV (with a header), JSON-lines, Parquet or Delta file or folder.

    Raises:
        ConfigError: there is no such file, or its kind can't be told.
    """
    if not path.exists():
        raise ConfigError(f"no such file or folder: {path}")
    if (path / "_delta_log").is_dir():
        return spark.read.format("delta").load(str(path))
    kind = _READERS.get(path.suffix.lower())
    if kind is None and path.is_dir() and any(path.glob("*.parquet")):
        kind = "parquet"
    if kind is None:
        raise ConfigError(f"{path}: not a .csv, .json, .jsonl or .parquet file, nor a folder of Parquet or Delta")
    reader = spark.read.format(kind)
    if kind == "csv":
        reader = reader.options(header=True, multiLine=True, escape='"')
    return reader.load(str(path))


def write_table(frame: DataFrame, path: Path) -> None:
    """Writes a folder of CSV, JSON lines or Parquet by the path's ending, else of Delta; replaces what is there."""
    kind = _READERS.get(path.suffix.lower(), "delta")
    writer = frame.write.format(kind).mode("overwrite")
    (writer.option("header", True) if kind == "csv" else writer).save(str(path))
